"""Bars of tqdm that others can watch."""

import asyncio
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tqdm")

from helpers import chaotic
from progress_tracker import ProgressCancelled, ProgressTracker, sync
from progress_tracker.tqdm import configure, tqdm, trange
from progress_tracker.tqdm.remote import _stack, defaults


@pytest.fixture
def tracker() -> Iterator[Any]:
    """Overrides the asynchronous one: bars belong to blocking code."""
    made = ProgressTracker.from_url("memory://")
    configure(made, user_id="anna")
    yield sync.ProgressTracker(made)
    assert not _stack(), "a bar was left open"
    configure()
    sync.ProgressTracker(made).close()


def only(tracker: Any) -> Any:
    (found,) = tracker.list_progress()
    return found


def is_seen(tracker: Any, id: str, count: int) -> bool:
    """Whether others see that many units soon."""
    for _ in range(1000):
        if tracker.get(id).current == count:
            return True
        threading.Event().wait(0.01)
    return False


def quiet(*args: Any, **kwargs: Any) -> Any:
    return tqdm(*args, file=io.StringIO(), **kwargs)


def test_a_loop(tracker: Any) -> None:
    bar = quiet(range(30), desc="Reading", unit="line")
    middle = tracker.get(bar.operation_id)
    assert (str(middle.status), middle.total) == ("processing", 30)
    assert list(bar) == list(range(30))
    found = only(tracker)
    assert (str(found.status), found.current, found.total) == ("completed", 30, 30)
    assert (found.kind, found.user_id) == ("tqdm", "anna")
    assert found.metadata["title"] == "Reading"
    assert list(bar) == list(range(30)), "a second loop is one without a bar, as in tqdm"
    assert len(tracker.list_progress()) == 1


@pytest.mark.usefixtures("tracker")  # the default instance belongs to other tests
def test_it_is_tqdm() -> None:
    from tqdm import tqdm as original

    assert issubclass(tqdm, original)
    mine, theirs = io.StringIO(), io.StringIO()
    for made, out in ((tqdm, mine), (original, theirs)):
        for _ in made(
            "abcd", file=out, bar_format="{desc}{n}/{total} {unit}", desc="d", mininterval=0
        ):
            pass
    assert mine.getvalue() == theirs.getvalue()


def test_watched_while_it_runs(tracker: Any) -> None:
    with quiet(total=10, initial=2, operation_id="me", mininterval=0) as bar:
        bar.set_description("half")
        bar.set_postfix(loss=0.5)
        bar.update(3)
        bar.total = 20
        bar.refresh()
        seen = tracker.watch("me")
        found = next(each for each in seen if each.current == 5 and each.total == 20)
        assert found.message == "half · loss=0.5"
        seen.close()
        bar.update(15)
    assert str(tracker.get("me").status) == "completed"


def test_seen_between_two_drawings(tracker: Any) -> None:
    """tqdm draws when it thinks it right; others see what is done all the same."""
    for n in quiet(range(10), mininterval=1000, operation_id="loop"):
        if n == 6:
            assert is_seen(tracker, "loop", 6)
    with quiet(total=10, mininterval=1000, operation_id="calls") as bar:
        bar.update(6)
        assert is_seen(tracker, "calls", 6)
        bar.update(4)


def test_ends(tracker: Any) -> None:
    for n in trange(10, file=io.StringIO(), operation_id="break"):
        if n == 4:
            break
    with pytest.raises(ValueError, match="no"), quiet(total=3, operation_id="with") as bar:
        bar.update()
        raise ValueError("no")

    def broken() -> Iterator[int]:
        yield 1
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        list(quiet(broken(), operation_id="items"))
    list(quiet(iter("abc"), operation_id="no total"))
    list(quiet(iter("abc"), total=5, operation_id="wrong total"))
    early = quiet(total=5, operation_id="early")
    early.close()
    early.close()
    forgotten = quiet(total=5, operation_id="forgotten")
    forgotten.update(5)
    del forgotten
    ends = {each.id: (str(each.status), each.error) for each in tracker.list_progress()}
    assert ends == {
        "break": ("cancelled", None), "with": ("failed", "no"), "items": ("failed", "disk"),
        "no total": ("completed", None), "wrong total": ("completed", None),
        "early": ("cancelled", None), "forgotten": ("completed", None),
    }  # fmt: skip
    assert tracker.get("break").message == "ended at 4 of 10"


def test_cancelling_ends_the_loop(tracker: Any) -> None:
    done = []
    with pytest.raises(ProgressCancelled):
        for n in quiet(range(10), operation_id="loop"):
            if n == 3:
                tracker.request_cancel("loop")
            done.append(n)
    assert done == [0, 1, 2, 3]
    assert str(tracker.get("loop").status) == "cancelled"
    with pytest.raises(ProgressCancelled), quiet(total=5, operation_id="calls") as bar:
        tracker.request_cancel("calls")
        bar.update()
    assert str(tracker.get("calls").status) == "cancelled"


def test_what_is_no_operation(tracker: Any) -> None:
    assert list(quiet(range(3), disable=True)) == [0, 1, 2]
    off = quiet(total=3, disable=True)
    off.update(3)
    off.close()
    assert off.operation_id is None
    assert tracker.list_progress() == []


def test_bars_within_bars(tracker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from progress_tracker.tqdm import remote

    for _ in quiet(range(2), desc="outer"):
        for _ in quiet(range(3), desc="inner", mininterval=0):
            pass
    assert only(tracker).metadata["title"] == "outer", "short ones are not worth a write"
    monkeypatch.setattr(remote, "_LASTS", 0.0)
    for _ in quiet(range(2), desc="outer"):
        for _ in quiet(range(3), desc="inner", mininterval=0, miniters=1):
            pass
    titles = sorted(each.metadata["title"] for each in tracker.list_progress())
    assert titles == ["inner", "inner", "outer", "outer"]
    assert {str(each.status) for each in tracker.list_progress()} == {"completed"}
    assert {each.current for each in tracker.list_progress()} == {2, 3}


def test_reset(tracker: Any) -> None:
    bar = quiet(total=3, operation_id="r")
    bar.reset(total=5)
    assert tracker.get("r").epoch == 1
    bar.update(5)
    bar.reset(total=7)
    found = tracker.get("r")
    assert (found.epoch, str(found.status), found.total) == (2, "processing", 7)
    bar.update(7)
    bar.close()
    assert (tracker.get("r").epoch, str(tracker.get("r").status)) == (2, "completed")


def test_a_store_that_is_down_breaks_no_loop(caplog: pytest.LogCaptureFixture) -> None:
    asynchronous, store = chaotic()
    store.faults["down"] = True
    bar = quiet(range(5), tracker=asynchronous)
    assert list(bar) == [0, 1, 2, 3, 4]
    assert "progress.bar_unseen" in caplog.messages
    assert not _stack()
    store.faults["down"] = False
    sync.ProgressTracker(asynchronous).close()


async def test_asynchronous(tracker: Any) -> None:
    from progress_tracker.tqdm.asyncio import tqdm as bars

    async def double(n: int) -> int:
        await asyncio.sleep(0)
        return 2 * n

    out = io.StringIO()
    assert [n async for n in bars(range(3), file=out, operation_id="for")] == [0, 1, 2]
    made = await bars.gather(*map(double, range(4)), file=out, operation_id="gather")
    assert made == [0, 2, 4, 6]
    done = bars.as_completed([double(n) for n in range(3)], file=out, operation_id="completed")
    assert sorted([await each for each in done]) == [0, 2, 4]

    def ends() -> dict[str, tuple[str, float]]:
        found = tracker.list_progress()
        return {each.id: (str(each.status), each.current) for each in found}

    assert await asyncio.to_thread(ends) == {
        "for": ("completed", 3), "gather": ("completed", 4), "completed": ("completed", 3),
    }  # fmt: skip


def test_contrib(tracker: Any) -> None:
    from progress_tracker.tqdm import contrib
    from progress_tracker.tqdm.contrib import concurrent, itertools

    out = io.StringIO()
    assert list(contrib.tenumerate("ab", file=out)) == [(0, "a"), (1, "b")]
    assert list(contrib.tzip("ab", "cd", file=out)) == [("a", "c"), ("b", "d")]
    assert list(contrib.tmap(str.upper, "ab", file=out)) == ["A", "B"]
    assert concurrent.thread_map(str.upper, "abc", file=out) == ["A", "B", "C"]
    assert concurrent.process_map(abs, [-1, 2], max_workers=1, file=out) == [1, 2]
    assert len(list(itertools.product("ab", "cd", file=out))) == 4
    assert contrib.DummyTqdmFile.__module__ == "tqdm.contrib"
    found = tracker.list_progress()
    assert sorted(each.current for each in found) == [2, 2, 2, 2, 3, 4]
    assert {str(each.status) for each in found} == {"completed"}


def test_what_was_never_closed(tmp_path: Path) -> None:
    """At the end of the interpreter, with a store that needs threads."""
    pytest.importorskip("sqlalchemy")
    url = f"sqlite:///{tmp_path}/p.db"
    code = """
from progress_tracker.tqdm import tqdm
open_ = tqdm(total=3, operation_id="open"); open_.update(1)
if __import__("os").fork() == 0:
    open_.close()  # a bar belongs to the process that made it
    raise SystemExit
__import__("os").wait()
open_.update(2)
left = tqdm(total=3, operation_id="left"); left.update(1)
"""
    env = {**os.environ, "PROGRESS_TRACKER_URL": url}
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    with sync.ProgressTracker.from_url(url) as tracker:
        ends = {each.id: str(each.status) for each in tracker.list_progress()}
    assert ends == {"open": "completed", "left": "cancelled"}


def test_pandas(tracker: Any) -> None:
    pandas = pytest.importorskip("pandas")
    tqdm.pandas(desc="apply", file=io.StringIO())
    frame = pandas.DataFrame({"a": range(5)})
    assert list(frame["a"].progress_map(lambda n: n * 2)) == [0, 2, 4, 6, 8]
    assert (only(tracker).current, str(only(tracker).status)) == (5, "completed")


def test_configure() -> None:
    assert defaults.tracker is None
    configure(user_id="u", kind="k")
    assert (defaults.user_id, defaults.kind) == ("u", "k")
    configure()
    assert (defaults.user_id, defaults.kind) == (None, "tqdm")
