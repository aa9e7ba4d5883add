"""The store goes away: nothing breaks, nothing is lost, nothing counts twice."""

import asyncio
import time

import pytest

from helpers import chaotic, is_now, until
from progress_tracker import BackendError, rules


async def test_the_store_goes_away_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    tracker, store = chaotic()
    async with tracker:
        async with tracker.track("x") as p:
            p.update(10)
            await until(lambda: is_now(tracker, "x", progress=10))
            store.faults["down"] = True
            for value in range(11, 50):
                p.update(value)
            await until(lambda: "progress.store_down" in caplog.messages)
            p.update(60)
            before = store.faults["calls"]
            await until(lambda: store.faults["calls"] >= before + 2)  # it was tried in vain
            store.faults["down"] = False
            await until(lambda: is_now(tracker, "x", progress=60))
            await until(lambda: "progress.store_back" in caplog.messages)
            store.faults["down"] = True
        assert "progress.end_delayed" in caplog.messages
        store.faults["down"] = False
        await until(lambda: is_now(tracker, "x", status="completed"))
    assert caplog.messages.count("progress.store_down") <= 2


async def test_store_errors_can_be_raised() -> None:
    tracker, store = chaotic(on_store_error="raise")
    async with tracker:
        with pytest.raises(BackendError):
            async with tracker.track("x") as p:
                store.faults["down"] = True
                deadline = time.monotonic() + 60
                while time.monotonic() < deadline:
                    p.update(50)
                    p.advance()
                    await asyncio.sleep(0.001)
                raise AssertionError("no error came")
        store.faults["down"] = False
        with pytest.raises(BackendError):
            async with tracker.track("y"):
                store.faults["down"] = True


async def test_begin_and_end_have_a_budget() -> None:
    tracker, store = chaotic()
    store.faults["down"] = True
    with pytest.raises(BackendError):
        async with tracker.track("x"):
            raise AssertionError("not entered")
    for step in (tracker.create(id="x"), tracker.complete("x"), tracker.fail("x", "no")):
        with pytest.raises(BackendError):
            await step
    store.faults["down"] = False
    await tracker.aclose()


async def test_lost_answers_count_once() -> None:
    tracker, store = chaotic(retry_budget=5)
    async with tracker:
        store.faults["lose_answers"] = 1
        assert (await tracker.create(id="x", total=10)).version == 1
        store.faults["lose_answers"] = 1
        await tracker.advance("x", 3)
        await tracker.advance("x", 2)
        found = await tracker.get("x")
        assert (found.current, found.version) == (5, 3)
        async with tracker.track("y") as p:
            for n in range(30):
                store.faults["lose_answers"] = n % 2
                p.advance()
                await asyncio.sleep(0.005)
        assert (await tracker.get("y")).current == 30
        await tracker.create(id="z")
        store.faults["lose_answers"] = 1
        await tracker.complete("z")


async def test_plain_updates_wait_for_the_store(caplog: pytest.LogCaptureFixture) -> None:
    tracker, store = chaotic()
    async with tracker:
        await tracker.create(id="x", stages=["a", "b"], total=10)
        await tracker.create(id="gone")
        store.faults["down"] = True
        await tracker.update("x", 10, "a")
        await tracker.update("x", 20, "a")
        await tracker.advance("x", 3, "b")
        await tracker.update("gone", 5)
        assert "progress.update_delayed" in caplog.messages
        store.faults["down"] = False
        assert await tracker.delete("gone")
        await until(lambda: is_now(tracker, "x", stage="b", current=3))
        store.faults["down"] = True
        await tracker.advance("x", 4, "b")
        store.faults["down"] = False
        await tracker.complete("x")
        found = await tracker.get("x")
        assert found.stages is not None
        assert (found.status, found.stages[1].current) == ("completed", 7)
        await until(lambda: "progress.refused" in caplog.messages)


async def test_plain_updates_may_raise() -> None:
    tracker, store = chaotic(on_store_error="raise")
    async with tracker:
        await tracker.create(id="x")
        store.faults["down"] = True
        with pytest.raises(BackendError):
            await tracker.update("x", 10)
        store.faults["down"] = False
        await until(lambda: is_now(tracker, "x", progress=10))


async def test_many_increments_are_kept_as_few(caplog: pytest.LogCaptureFixture) -> None:
    tracker, store = chaotic()
    async with tracker:
        await tracker.create(id="x", total=5000)
        store.faults["down"] = True
        for _ in range(3000):
            await tracker.advance("x")
        kept = tracker._parts.kept
        waiting = kept._waiting["x"]
        assert len(waiting.changes) < 100
        assert len(waiting.tried) < 100
        store.faults["down"] = False
        await until(lambda: is_now(tracker, "x", current=3000))
        assert not len(kept)


async def test_smaller_percents_lose_and_messages_stay_meanwhile() -> None:
    tracker, store = chaotic()
    async with tracker:
        await tracker.create(id="x")
        store.faults["down"] = True
        await tracker.update("x", 50, message="half")
        await tracker.update("x", 20)
        store.faults["down"] = False
        await until(lambda: is_now(tracker, "x", progress=50, message="half"))


async def test_what_is_kept_meanwhile_survives_a_write_that_succeeds() -> None:
    tracker, store = chaotic()
    async with tracker:
        await tracker.create(id="x", total=10)
        kept = tracker._parts.kept
        store.faults["down"] = True
        await tracker.advance("x", 1)
        rule = kept.before("x", lambda record: record, "first")
        await tracker.advance("x", 2)
        kept.done("x", "first")
        assert len(kept) == 1, "the second increment was not part of that write"
        assert rule is not None
        store.faults["down"] = False


async def test_what_is_lost_at_close_is_said(caplog: pytest.LogCaptureFixture) -> None:
    tracker, store = chaotic()
    await tracker.create(id="x")
    store.faults["down"] = True
    await tracker.update("x", 10)
    await tracker.aclose()
    lost = [each for each in caplog.records if each.getMessage() == "progress.update_lost"]
    assert [each.progress_id for each in lost] == ["x"]  # type: ignore[attr-defined]


async def test_an_end_that_is_lost_at_close_is_said(caplog: pytest.LogCaptureFixture) -> None:
    tracker, store = chaotic()
    async with tracker.track("x"):
        store.faults["down"] = True
    assert "progress.end_delayed" in caplog.messages
    await tracker.aclose()
    assert "progress.end_lost" in caplog.messages


@pytest.mark.parametrize("told", [True, False], ids=["the first knows", "its answer is on its way"])
async def test_two_writes_at_one_time_store_what_was_kept_once(told: bool) -> None:
    """The background writes what waits while a call that began before does so too."""
    tracker, store = chaotic()
    async with tracker:
        await tracker.create(id="x")
        store.faults["down"] = True
        await tracker.advance("x", 5)
        store.faults["down"] = False
        parts = tracker._parts
        kept, operations = parts.kept, parts.operations
        late = kept.before("x", lambda base: rules.complete(base, base.updated_at), "late")
        first = kept.before("x", lambda base: base, "first")
        await operations.change("x", first, token="first")
        if told:
            kept.done("x", "first")
        ended = await operations.change("x", late, token="late")
        assert ended.state.current == 5
