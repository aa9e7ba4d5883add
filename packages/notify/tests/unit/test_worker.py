"""Workers: sharing, closing, cancelling, failing stores."""

import asyncio
from datetime import UTC, datetime, timedelta

from notify import ChannelError, MemoryDirectory, Notification, NotificationService
from notify.adapters.memory import MemoryStore
from notify.testing import NOW, FakeChannel, FakeClock, Outbox, settle


def note(title: str = "t", user_id: str = "ann", channels=("email",), **more) -> Notification:
    return Notification(title=title, user_id=user_id, channels=list(channels), **more)


async def states(outbox, notification_id: str) -> dict[str, tuple[str, str | None]]:
    rows = await outbox.service.deliveries(notification_id)
    return {each.channel: (str(each.status), each.reason) for each in rows}


async def test_one_hanging_channel_holds_no_other(eventually) -> None:
    async def hang(_: object) -> str:
        await asyncio.sleep(3600)
        return ""

    slow = FakeChannel("email", *([hang] * 50))
    quick = FakeChannel("sms")
    directory = MemoryDirectory({("ann", "email"): "a@b.c", ("ann", "sms"): "+49"})
    async with NotificationService(channels=[slow, quick], directory=directory) as service:
        service.configure({"delivery": {"timeout": 600, "lease": 900}, "shutdown_timeout": 0.1})
        for _ in range(30):
            await service.send(note(channels=["email"]))
        sent = await service.send(note(channels=["in-app", "email", "sms"]))
        await eventually(lambda: bool(quick.sent))
        found = {each.channel: str(each.status) for each in await service.deliveries(sent.id)}
        assert found["in-app"] == "delivered"
        assert found["email"] in {"pending", "sending"}
        assert not slow.sent


async def test_two_workers_share_the_work() -> None:
    store, clock = MemoryStore(), FakeClock(NOW)
    directory = MemoryDirectory({("ann", "email"): "a@b.c"})
    channels = [FakeChannel("email"), FakeChannel("email")]
    services = [
        NotificationService(store=store, channels=[each], directory=directory, clock=clock)
        for each in channels
    ]
    for each in services:
        each.configure({"delivery": {"background": False}})
    for n in range(60):
        await services[0].send(note(str(n)))
    await asyncio.gather(*(each.deliver_due() for each in services))
    sent = [message.subject for each in channels for message in each.sent]
    assert sorted(sent, key=int) == [str(n) for n in range(60)]
    assert all(each.sent for each in channels)
    for each in services:
        await each.aclose()


async def test_a_vanished_worker_uses_up_an_attempt() -> None:
    outbox = Outbox(delivery={"max_attempts": 1, "lease": 60})
    async with outbox.service as service:
        sent = await service.send(note())
        await service.store.claim({"email": 1}, NOW, NOW + 60)
        assert await outbox.deliver(59) == []
        await outbox.deliver(2)
        assert (await states(outbox, sent.id))["email"][0] == "dead"
        assert outbox.channels["email"].calls == []


async def test_run_delivers_until_cancelled_and_finishes_calls(eventually) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def slow(_: object) -> str:
        started.set()
        await release.wait()
        return "id"

    channel = FakeChannel("email", slow)
    directory = MemoryDirectory({("ann", "email"): "a@b.c"})
    async with NotificationService(channels=[channel], directory=directory) as service:
        service.configure({"delivery": {"background": False, "poll_interval": 0.02}})
        worker = asyncio.create_task(service.run())
        await service.send(note("one"))
        await started.wait()
        worker.cancel()
        await asyncio.sleep(0.05)
        assert not worker.done()
        release.set()
        await asyncio.gather(worker, return_exceptions=True)
        assert [each.subject for each in channel.sent] == ["one"]
        assert (await service.get_stats()).deliveries == {"delivered": 1}


async def test_closing_drains_what_is_due_and_keeps_the_rest() -> None:
    store, channel = MemoryStore(), FakeChannel("email")
    directory = MemoryDirectory({("ann", "email"): "a@b.c"})
    service = NotificationService(store=store, channels=[channel], directory=directory)
    for n in range(30):
        await service.send(note(str(n)))
    later = datetime.now(UTC) + timedelta(hours=1)
    await service.send(note("later", send_at=later))
    await service.aclose()
    assert len(channel.sent) == 30
    assert (await store.counts())[1] == {"delivered": 30, "pending": 1}


async def test_closing_does_not_wait_for_ever() -> None:
    async def hang(_: object) -> str:
        await asyncio.sleep(3600)
        return ""

    store, channel = MemoryStore(), FakeChannel("email", hang)
    directory = MemoryDirectory({("ann", "email"): "a@b.c"})
    service = NotificationService(store=store, channels=[channel], directory=directory)
    service.configure({"shutdown_timeout": 0.1})
    await service.send(note())
    while not channel.calls:
        await asyncio.sleep(0.005)
    async with asyncio.timeout(60):
        await service.aclose()
    assert (await store.counts())[1] == {"sending": 1}


async def test_a_failing_store_is_tried_again(caplog, eventually) -> None:
    from notify import BackendError

    class Shaky(MemoryStore):
        broken = 0

        async def due(self):
            if Shaky.broken:
                Shaky.broken -= 1
                raise BackendError("down", retryable=True)
            return await super().due()

    channel = FakeChannel("email")
    directory = MemoryDirectory({("ann", "email"): "a@b.c"})
    async with NotificationService(
        store=Shaky(), channels=[channel], directory=directory
    ) as service:
        service.configure({"delivery": {"poll_interval": 0.01}})
        Shaky.broken = 2
        await service.send(note())
        await eventually(lambda: bool(channel.sent))
    assert "worker.store_failed" in caplog.text


async def test_a_cancelled_worker_starts_what_it_has_claimed() -> None:
    """A claim that nobody starts would wait until its lease ends."""
    claiming, go_on = asyncio.Event(), asyncio.Event()

    class Slow(MemoryStore):
        async def claim(self, slots, now, until):
            found = await super().claim(slots, now, until)
            claiming.set()
            await go_on.wait()
            return found

    channel = FakeChannel("email")
    directory = MemoryDirectory({("ann", "email"): "a@b.c"})
    async with NotificationService(
        store=Slow(), channels=[channel], directory=directory
    ) as service:
        service.configure({"delivery": {"background": False}})
        await service.send(note())
        worker = asyncio.create_task(service.run())
        await claiming.wait()
        worker.cancel()
        await settle()
        go_on.set()
        await asyncio.gather(worker, return_exceptions=True)
        assert worker.cancelled()
        assert len(channel.sent) == 1
        assert (await service.get_stats()).deliveries == {"delivered": 1}


async def test_what_a_provider_took_is_recorded_even_when_cancelled() -> None:
    recording, go_on = asyncio.Event(), asyncio.Event()

    class Slow(MemoryStore):
        async def finish(self, verdicts, at):
            recording.set()
            await go_on.wait()
            return await super().finish(verdicts, at)

    store = Slow()
    directory = MemoryDirectory({("ann", "email"): "a@b.c"})
    service = NotificationService(store=store, channels=[FakeChannel("email")], directory=directory)
    service.configure({"shutdown_timeout": 0.0})
    await service.send(note())
    await recording.wait()
    closing = asyncio.create_task(service.aclose())
    await settle()
    go_on.set()
    await closing
    assert (await store.counts())[1] == {"delivered": 1}


async def test_a_cancelled_deliver_due_leaves_no_attempt_behind() -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: object) -> str:
        started.set()
        await go_on.wait()
        return "id"

    directory = MemoryDirectory({("ann", "email"): "a@b.c"})
    async with NotificationService(
        channels=[FakeChannel("email", slow)], directory=directory
    ) as service:
        service.configure({"delivery": {"background": False}})
        await service.send(note())
        task = asyncio.create_task(service.deliver_due())
        await started.wait()
        task.cancel()
        await settle()
        assert not task.done()
        go_on.set()
        await asyncio.gather(task, return_exceptions=True)
        assert not [t for t in asyncio.all_tasks() if t.get_name() == "notify.attempt"]
        assert (await service.get_stats()).deliveries == {"delivered": 1}


async def test_closing_ends_run() -> None:
    """Else it would open the store again behind the one who closed it."""
    service = NotificationService.from_url("memory://")
    worker = asyncio.create_task(service.run())
    await settle()
    await service.aclose()
    async with asyncio.timeout(60):
        await worker
    assert service._built is None


async def test_the_chain_of_providers_ends_before_the_lease() -> None:
    clock = FakeClock(NOW)

    async def slow(_: object) -> str:
        clock.shift(31)
        raise ChannelError("503", retryable=True)

    channels = [FakeChannel("email", slow, provider=str(n)) for n in range(3)]
    directory = MemoryDirectory({("ann", "email"): "a@b.c"})
    async with NotificationService(channels=channels, directory=directory, clock=clock) as service:
        service.configure({"delivery": {"background": False, "timeout": 30, "lease": 90}})
        sent = await service.send(note())
        await service.deliver_due()
        [delivery] = await service.deliveries(sent.id)
        # a third call could last beyond the lease: another worker would send it as well
        assert [len(each.calls) for each in channels] == [1, 1, 0]
        assert [each.outcome for each in delivery.history] == ["retry", "retry", "skipped"]
        assert str(delivery.status) == "pending"
