"""Real worker processes on a SQLite file, killed between the provider and the mark."""

import asyncio
import contextlib
import random
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from chaos.delivering import deliver
from notify import DeliveryFilters, Notification, NotificationService
from notify.testing import FakeChannel

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
AMPLE = 60.0  # a lease where no message may go out again, however busy the machine is


@pytest.fixture
def start(processes, tmp_path: Path):
    def begin(pause: float, rates=None, lease: float = AMPLE):
        paths = str(tmp_path / "n.db"), str(tmp_path / "ledger")
        made = processes.Process(target=deliver, args=(*paths, pause, rates, lease))
        made.start()
        return made

    return begin


def accepted(folder: Path) -> list[list[str]]:
    path = folder / "ledger"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def end_leases(folder: Path) -> None:
    """Let those of the dead be over: they are long, for a busy machine may let the living wait."""
    with contextlib.closing(sqlite3.connect(folder / "n.db")) as link, link:
        link.execute("UPDATE notifications_deliveries SET due_at = 1 WHERE status = 'sending'")


def outbox(folder: Path) -> NotificationService:
    service = NotificationService(channels=[FakeChannel("email")])
    service.configure(
        {
            "storage": {"connection_string": f"sqlite:///{folder}/n.db?synchronous=NORMAL"},
            "delivery": {"background": False},
        }
    )
    return service


async def finished(service: NotificationService, count: int, seconds: float = 180.0) -> None:
    async with asyncio.timeout(seconds):
        while (await service.get_stats()).deliveries.get("delivered", 0) < count:
            await asyncio.sleep(0.05)


async def test_nothing_is_lost_and_duplicates_keep_their_id(start, tmp_path: Path) -> None:
    rng, count, rounds = random.Random(7), 200, 5
    async with outbox(tmp_path) as service:
        keys: dict[str, str] = {}
        killed = 0
        workers = [start(0.05) for _ in range(2)]
        try:
            for _ in range(rounds):
                seen = len(accepted(tmp_path))
                # there is work in each round, however far the workers have come
                more = range(len(keys), len(keys) + count // rounds)
                notes = [
                    Notification(title=f"n{n}", user_id="ann", channels=["email"]) for n in more
                ]
                for each in await service.send_bulk(notes):
                    keys[each.notification.title] = each.deliveries[0].id
                async with asyncio.timeout(120):
                    while len(accepted(tmp_path)) <= seen:
                        await asyncio.sleep(0.01)
                await asyncio.sleep(rng.uniform(0.0, 0.1))
                victim = workers.pop(0)
                victim.kill()
                await asyncio.to_thread(victim.join)
                killed += 1
                workers.append(start(0.05))
            for each in workers:
                each.kill()
                await asyncio.to_thread(each.join)
                killed += 1
            end_leases(tmp_path)
            workers = [start(0.05)]
            await finished(service, count)
        finally:
            for each in workers:
                each.kill()
                each.join()
        rows = await service.list_deliveries(DeliveryFilters(), 500)
    found = accepted(tmp_path)
    assert {title for _, title, _ in found} == set(keys), "lost"
    assert all(keys[title] == key for key, title, _ in found), "a duplicate had another id"
    attempts = {each.id: each.attempts for each in rows}
    times = Counter(key for key, _, _ in found)
    # a message goes out twice only if a killed worker had claimed it: four at once at most
    assert all(times[key] <= attempts[key] for key in times)
    assert sum(times.values()) - count <= killed * 4


async def test_two_workers_send_each_message_once(start, tmp_path: Path) -> None:
    async with outbox(tmp_path) as service:
        workers = [start(0.0) for _ in range(2)]
        try:
            await service.send_bulk(
                [
                    Notification(title=f"n{n}", user_id=f"u{n}", channels=["email"])
                    for n in range(200)
                ]
            )
            await finished(service, 200)
        finally:
            for each in workers:
                each.kill()
                each.join()
    found = accepted(tmp_path)
    assert Counter(title for _, title, _ in found) == Counter(f"n{n}" for n in range(200))


RATES = [
    {"users": {"email": {"limit": 5, "window": 3600}}},
    {"providers": {"ledger": {"limit": 5, "window": 3600}}},
]


async def put_off(service: NotificationService, count: int) -> None:
    """Wait until five went out and ``count`` wait for the next window: nobody tries them before."""
    wanted = {("delivered", False): 5, ("pending", True): count}
    states: Counter[tuple[str, bool]] = Counter()
    try:
        async with asyncio.timeout(120):
            while states != wanted:
                await asyncio.sleep(0.02)
                rows = await service.list_deliveries(DeliveryFilters(), 500)
                soon = service.clock.time() + 60
                states = Counter(
                    (str(each.status), each.due_at is not None and each.due_at.timestamp() > soon)
                    for each in rows
                )
    except TimeoutError:
        pytest.fail(f"{dict(states)} in place of {wanted}")


@pytest.mark.parametrize("rates", RATES)
async def test_a_process_counts_what_another_sent(start, tmp_path: Path, rates) -> None:
    async with outbox(tmp_path) as service:
        for turn, waiting in enumerate((3, 11)):
            await service.send_bulk(
                [
                    Notification(title=f"{turn}-{n}", user_id="ann", channels=["email"])
                    for n in range(8)
                ]
            )
            worker = start(0.0, rates)
            try:
                await put_off(service, waiting)
            finally:
                worker.kill()
                await asyncio.to_thread(worker.join)
            # a process that counts by itself would have had five more places
            assert len(accepted(tmp_path)) == 5


@pytest.mark.parametrize("rates", RATES)
async def test_two_processes_at_once_share_a_limit(start, tmp_path: Path, rates) -> None:
    async with outbox(tmp_path) as service:
        workers = [start(0.01, rates) for _ in range(2)]
        try:
            for n in range(12):
                await service.send(Notification(title=str(n), user_id="ann", channels=["email"]))
            await put_off(service, 7)
        finally:
            for each in workers:
                each.kill()
                await asyncio.to_thread(each.join)
    assert len(accepted(tmp_path)) == 5
