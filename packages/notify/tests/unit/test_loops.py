"""One instance over several event loops, threads and forks."""

import asyncio
import os
import threading

import pytest

from notify import Notification, NotificationService, sync


def note(title: str = "t", user_id: str = "ann") -> Notification:
    return Notification(title=title, user_id=user_id)


def test_a_closed_loop_is_replaced(url: str) -> None:
    service = NotificationService.from_url(url)
    first = asyncio.run(service.send(note()))
    assert asyncio.run(service.get(first.id, "ann")).title == "t"
    asyncio.run(service.aclose())


def test_calls_from_other_loops_are_forwarded(url: str) -> None:
    service = NotificationService.from_url(url)

    async def main() -> None:
        await service.send(note())
        others = [asyncio.to_thread(lambda: asyncio.run(service.send(note()))) for _ in range(3)]
        await asyncio.gather(*others)
        assert await service.unread_count("ann") == 4
        await service.aclose()

    asyncio.run(main())


def test_a_subscriber_of_another_loop_is_called_there(url: str) -> None:
    service = NotificationService.from_url(url)

    async def listener(ready: threading.Event, heard: list) -> None:
        done = asyncio.Event()

        def callback(notification: Notification) -> None:
            heard.append((notification.title, threading.get_ident()))
            done.set()

        stop = service.subscribe("ann", callback)
        await service.unread_count("ann")
        ready.set()
        async with asyncio.timeout(60):
            await done.wait()
        stop()

    async def main() -> None:
        await service.unread_count("ann")
        ready, heard, idents = threading.Event(), [], []

        def other() -> None:
            idents.append(threading.get_ident())
            asyncio.run(listener(ready, heard))

        task = asyncio.create_task(asyncio.to_thread(other))
        while not ready.is_set():
            await asyncio.sleep(0.01)
        async with asyncio.timeout(60):
            while not heard:
                await service.send(note("hello"))
                await asyncio.sleep(0.05)
        await task
        assert heard[0] == ("hello", idents[0])
        await service.aclose()

    asyncio.run(main())


def test_many_threads_use_the_sync_facade(url: str) -> None:
    with sync.NotificationService.from_url(url) as service:
        threads = [
            threading.Thread(target=lambda: [service.send(note()) for _ in range(20)])
            for _ in range(4)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert service.unread_count("ann") == 80


def test_the_facade_shares_the_instance() -> None:
    service = NotificationService.from_url("memory://")
    blocking = sync.NotificationService(service)
    sent = blocking.send(note())
    assert asyncio.run(service.get(sent.id)).title == "t"
    stream = blocking.watch("ann", 0)
    assert next(stream).seq == 1
    stream.close()
    heard = threading.Event()
    stop = blocking.subscribe("ann", lambda _: heard.set())
    blocking.send(note())
    assert heard.wait(60)
    stop()
    blocking.close()
    assert sync.notifications.asynchronous is not service


async def test_the_facade_refuses_a_running_loop() -> None:
    with pytest.raises(RuntimeError, match="await"):
        sync.NotificationService.from_url("memory://").get_stats()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_gets_clients_of_its_own(url: str) -> None:
    service = NotificationService.from_url(url)
    asyncio.run(service.send(note()))
    if (pid := os.fork()) == 0:
        code = 1
        try:
            asyncio.run(service.send(note()))
            code = 0 if asyncio.run(service.unread_count("ann")) == 2 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    shared = not url.startswith("memory")
    assert asyncio.run(service.unread_count("ann")) == (2 if shared else 1)
    asyncio.run(service.aclose())


async def test_aclose_returns_to_unconfigured() -> None:
    service = NotificationService()
    service.configure("memory://")
    await service.send(note())
    with pytest.raises(ValueError, match="before the first operation"):
        service.configure("memory://")
    await service.aclose()
    await service.aclose()
    service.configure("memory://")
    assert await service.unread_count("ann") == 0
    await service.aclose()


async def test_aclose_ends_watchers_and_subscriptions(eventually) -> None:
    service = NotificationService.from_url("memory://")
    heard = []
    service.subscribe("ann", lambda n: heard.append(n.title))
    await service.send(note("one"))

    seen: list[int] = []

    async def watch() -> None:
        async for event in service.watch("ann", 0):
            seen.append(event.seq)  # noqa: PERF401  what was seen before is looked at meanwhile

    task = asyncio.create_task(watch())
    await eventually(lambda: heard and seen)
    await service.aclose()
    async with asyncio.timeout(60):
        await task
    assert seen == [1]
    assert heard == ["one"]
    assert not [t for t in asyncio.all_tasks() if t.get_name().startswith("notify")]
