"""kill -9 at each step between store, provider and mark, on each kind of store."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from chaos.cutting import CUTS, deliver_until_cut, send_until_cut, settings_of
from notify import DeliveryFilters, Notification, NotificationService
from notify.testing import FakeChannel

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.integration]
COUNT = 12


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path, apart) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/n.db?synchronous=NORMAL"
        return
    if request.param == "redis":
        pytest.importorskip("redis")
        prefix = request.getfixturevalue("redis_prefix").strip(":")
        yield f"{request.getfixturevalue('redis_url')}?prefix={prefix}"
        return
    pytest.importorskip("asyncpg")
    url = request.getfixturevalue("postgres_url")

    async def tables() -> None:
        async with NotificationService.from_url(url) as service:
            await service.setup()

    apart(tables())
    yield url


def outbox(url: str) -> NotificationService:
    service = NotificationService(channels=[FakeChannel("email")])
    settings = settings_of(url)
    settings["delivery"]["background"] = False
    service.configure(settings)
    return service


async def ended(process, code: int | None = None) -> None:
    await asyncio.to_thread(process.join, 60)
    if process.exitcode is None:
        process.kill()
        pytest.fail("it did not end")
    if code is not None:
        assert process.exitcode == code


async def delivered(service: NotificationService, count: int) -> None:
    async with asyncio.timeout(60):
        while (await service.get_stats()).deliveries.get("delivered", 0) < count:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("cut", CUTS)
async def test_a_worker_killed_at_each_step(
    processes, store_url: str, tmp_path: Path, cut: str
) -> None:
    ledger = str(tmp_path / "ledger")
    async with outbox(store_url) as service:
        sent = await service.send_bulk(
            [Notification(title=f"n{n}", user_id="ann", channels=["email"]) for n in range(COUNT)]
        )
        keys = {each.deliveries[0].id for each in sent}
        victim = processes.Process(target=deliver_until_cut, args=(store_url, ledger, cut))
        victim.start()
        await ended(victim, -9)
        heir = processes.Process(target=deliver_until_cut, args=(store_url, ledger, ""))
        heir.start()
        try:
            await delivered(service, COUNT)
        finally:
            heir.kill()
            await ended(heir)
        rows = await service.list_deliveries(DeliveryFilters(), 500)
    taken = Counter(line.split()[0] for line in Path(ledger).read_text().splitlines())
    assert set(taken) == keys, "lost, or sent under another key"
    # what the provider had and the store did not know of goes out again; the rest only if it was
    # leased again, which a busy machine may do to an heir that is slow
    if cut in {"after provider", "before mark"}:
        assert sum(taken.values()) > COUNT
    assert {str(each.status) for each in rows} == {"delivered"}
    attempts = {each.id: each.attempts for each in rows}
    assert all(count <= attempts[key] for key, count in taken.items())


@pytest.mark.parametrize("cut", ["before add", "after add"])
async def test_a_sender_killed_around_the_store(processes, store_url: str, cut: str) -> None:
    async with outbox(store_url) as service:
        victim = processes.Process(target=send_until_cut, args=(store_url, cut))
        victim.start()
        await ended(victim, -9)
        rows = await service.list_deliveries(DeliveryFilters(), 500)
        notes = {each.notification_id for each in rows}
        whole = 8 if cut == "before add" else 12
        assert len(notes) == whole, "all of a call, or none"
        assert len(rows) == 2 * whole
        assert (await service.get_stats()).notifications == whole
        again = processes.Process(target=send_until_cut, args=(store_url, ""))
        again.start()
        await ended(again, 0)
        assert (await service.get_stats()).notifications == 20
        for user in ("u0", "u3"):
            events = await service.store.events(user, 0, 100)
            assert [each.seq for each in events] == [1, 2, 3, 4, 5]
            assert [each.unread for each in events] == [1, 2, 3, 4, 5]


async def test_two_workers_at_once(processes, store_url: str, tmp_path: Path) -> None:
    ledger = str(tmp_path / "ledger")
    async with outbox(store_url) as service:
        workers = [
            processes.Process(target=deliver_until_cut, args=(store_url, ledger, ""))
            for _ in range(2)
        ]
        for each in workers:
            each.start()
        try:
            await service.send_bulk(
                [
                    Notification(title=f"n{n}", user_id=f"u{n}", channels=["email"])
                    for n in range(200)
                ]
            )
            await delivered(service, 200)
        finally:
            for each in workers:
                each.kill()
                await ended(each)
        rows = await service.list_deliveries(DeliveryFilters(), 500)
    taken = Counter(line.split()[0] for line in Path(ledger).read_text().splitlines())
    # a lease of a second may end on a busy machine; each time that it was leased it went out once
    attempts = {each.id: each.attempts for each in rows}
    assert all(count <= attempts[key] for key, count in taken.items())
    assert len(taken) == 200
