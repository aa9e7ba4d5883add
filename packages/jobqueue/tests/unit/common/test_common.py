"""The plumbing that all packages carry."""

import asyncio
import gc
import sqlite3
import threading
import warnings
from pathlib import Path
from queue import SimpleQueue
from typing import Any, ClassVar

import msgspec
import pytest

from jobqueue._common import urls
from jobqueue._common.clock import FakeClock, SystemClock, wait_event
from jobqueue._common.config import BaseSettings, expand
from jobqueue._common.extras import require
from jobqueue._common.home import Home, borrow, hop, stream_at_home
from jobqueue._common.plugins import Plugins
from jobqueue._common.portal import Portal, here
from jobqueue.errors import BackendError, ConfigurationError, MissingExtraError
from jobqueue.settings import Settings


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: int = 1
    names: list[str] = []


class Sample(BaseSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    DIST: ClassVar[str] = "sample"
    SECTION: ClassVar[str] = "sample"
    PREFIX: ClassVar[str] = "SAMPLE"
    part: Part = Part()
    text: str = ""


def test_require_names_the_command() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'jobqueue\[nothing\]'"):
        require("no_such_module_at_all", dist="jobqueue", extra="nothing")


def test_require_lets_other_import_failures_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_library.py").write_text("import its_own_dependency")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="its_own_dependency"):
        require("broken_library", dist="jobqueue", extra="x")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "1"), ("x${A}y", "x1y"), ("${B:-dflt}", "dflt"), ("${EMPTY:-dflt}", "dflt"),
        ("$${A}", "${A}"), ("$5", "$5"), ("${B:-}", ""),
    ],
)  # fmt: skip
def test_variables(text: str, value: str) -> None:
    assert expand({"k": [text]}, {"A": "1", "EMPTY": ""}) == {"k": [value]}


def test_settings_from_the_environment() -> None:
    environ = {
        "SAMPLE__PART__SIZE": "5",
        "SAMPLE__PART__NAMES": '["a", "b"]',
        "SAMPLE__TEXT": "costs $5 ${HOME}",
        "OTHER": "x",
    }
    made = Sample.from_env(environ)
    assert made == Sample(part=Part(5, ["a", "b"]), text="costs $5 ${HOME}")


@pytest.mark.parametrize(
    "environ",
    [
        {"SAMPLE__PART": "x", "SAMPLE__PART__SIZE": "1"},
        {"SAMPLE__PART__SIZE": "[1"},
        {"SAMPLE__NOPE": "1"},
        {"SAMPLE__PART__SIZE": "many"},
    ],
)
def test_wrong_environment(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        Sample.from_env(environ)


def test_discovery(tmp_path: Path) -> None:
    assert Sample.discover({}) is None
    assert Sample.discover({"SAMPLE_STRICT": "0"}) is None
    with pytest.raises(ConfigurationError, match="not both"):
        Sample.discover({"SAMPLE_URL": "x:", "SAMPLE_CONFIG": "y"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "not YAML at line"), (b"other: 1", "no section 'sample'"),
        (b"sample: [1]", "no section"), (b"\xff\xfe\x00", "not YAML"),
        (b"x" * (1 << 20) + b"xx", "over"),
        (b"sample: !!python/object/apply:os.system ['true']", "not YAML"),
    ],
)  # fmt: skip
def test_wrong_yaml(content: bytes, message: str, tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    file = tmp_path / "s.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=message):
        Sample.from_yaml(file)
    with pytest.raises(ConfigurationError, match="cannot read"):
        Sample.from_yaml(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:pa%40ss@host:1/0?x=1", "redis://user:***@host:1/0?x=1"),
        ("s3://bucket?secret_key=abc&region=eu", "s3://bucket?secret_key=***&region=eu"),
        ("sqlite:////abs/file.db", "sqlite:////abs/file.db"),
        ("redis://:pw@h", "redis://:***@h"),
        ("redis://:p/w@h", "redis://***"),
        ("redis://:p?w@h/0", "redis://***"),
        ("redis://u:1#2@h", "redis://***"),
        ("sqlite:////a@b/c.db", "sqlite:////a@b/c.db"),
        ("smtp://host:25?from=a@b", "smtp://host:25?from=a@b"),
    ],
)
def test_redaction(url: str, shown: str) -> None:
    assert urls.redact(url) == shown


def test_paths_and_options_of_urls() -> None:
    assert urls.file_path("sqlite:///a/b.db") == "a/b.db"
    assert urls.file_path("sqlite:////a/b.db") == "/a/b.db"
    assert urls.without_query("sqlite:////a.db?x=1&y=2", "x") == "sqlite:////a.db?y=2"
    assert urls.flag({"l1": "off"}, "l1", default=True) is False
    for bad in ("sqlite://host/x", "sqlite:///"):
        with pytest.raises(ConfigurationError):
            urls.file_path(bad)
    with pytest.raises(ConfigurationError, match="twice"):
        urls.query_of("x://h?a=1&a=2")
    with pytest.raises(ConfigurationError, match="on or off"):
        urls.flag({"l1": "maybe"}, "l1", default=True)


def test_plugins_list_what_is_known() -> None:
    plugins = Plugins("thing", "jobqueue.no_such_group", {"path": "pathlib:Path"})
    assert plugins.load("path") is Path
    with pytest.raises(ConfigurationError, match="unknown thing 'x'; known: path"):
        plugins.load("x")


async def test_events_and_time() -> None:
    clock, event = FakeClock(), asyncio.Event()
    waiting = asyncio.create_task(wait_event(event, 10, clock))
    await clock.advance(9)
    assert not waiting.done()
    await clock.advance(1)
    assert await waiting is False
    assert await wait_event(event, 0.001, SystemClock()) is False
    event.set()
    assert await wait_event(event, 10, clock) is True


def test_a_call_that_its_loop_drops_leaves_no_coroutine_behind() -> None:
    there = asyncio.new_event_loop()

    async def never() -> None:
        raise AssertionError("the loop does not run")

    async def foreign() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await hop(there, never)

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        asyncio.run(foreign())
        there.close()
        gc.collect()
    # the collector meets what other tests left as well
    assert not [each for each in seen if "never awaited" in str(each.message)]


async def test_home_forwards_and_reports_a_closed_loop() -> None:
    home = Home(lambda: None)
    assert home.is_here()
    here_thread = threading.get_ident()

    async def where() -> int:
        return threading.get_ident()

    other = await asyncio.to_thread(lambda: asyncio.run(home.run(where)))
    assert other == here_thread


def test_a_forwarded_call_whose_home_ends_is_no_cancellation() -> None:
    home, started = Home(lambda: None), threading.Event()
    outcome: list[BaseException] = []

    async def forever() -> None:
        started.set()
        await asyncio.Event().wait()

    async def foreign() -> None:
        try:
            await home.run(forever)
        except BaseException as exc:
            outcome.append(exc)

    async def main() -> None:
        assert home.is_here()
        thread = threading.Thread(target=lambda: asyncio.run(foreign()))
        thread.start()
        await asyncio.to_thread(started.wait)
        threads.append(thread)

    threads: list[threading.Thread] = []
    asyncio.run(main())
    threads[0].join(60)
    assert isinstance(outcome[0], RuntimeError)


def test_a_call_sent_to_a_loop_that_ends_is_told_so() -> None:
    # asyncio.run cancels the tasks that are there; what comes later is lost without a word
    home, moment, arrived = Home(lambda: None), threading.Event(), threading.Event()
    outcome: list[BaseException] = []

    async def never() -> None:
        arrived.set()
        await asyncio.Event().wait()

    async def foreign() -> None:
        try:
            async with asyncio.timeout(60):
                await home.run(never)
        except BaseException as exc:
            outcome.append(exc)

    async def main() -> None:
        assert home.is_here()
        thread.start()

    async def last_words() -> None:
        moment.set()
        async with asyncio.timeout(60):
            while not arrived.is_set():
                await asyncio.sleep(0.001)

    def call() -> None:
        assert moment.wait(60)
        asyncio.run(foreign())

    thread = threading.Thread(target=call)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.run_until_complete(last_words())
    loop.close()
    thread.join(60)
    assert isinstance(outcome[0], RuntimeError)


class Streaming:
    def __init__(self) -> None:
        self._home = Home(lambda: None)
        self.closed_in: list[int] = []

    @stream_at_home
    async def numbers(self, count: int):  # type: ignore[no-untyped-def]
        try:
            for number in range(count):
                yield number, threading.get_ident()
        finally:
            self.closed_in.append(threading.get_ident())


async def test_streams_take_their_steps_at_home() -> None:
    stream, home = Streaming(), threading.get_ident()
    assert stream._home.is_here()

    async def read() -> list[tuple[int, int]]:
        found = []
        async for item in stream.numbers(9):
            found.append(item)
            if len(found) == 3:
                break
        return found

    found = await asyncio.to_thread(lambda: asyncio.run(read()))
    assert found == [(0, home), (1, home), (2, home)]
    async with asyncio.timeout(60):
        while stream.closed_in != [home]:
            await asyncio.sleep(0.01)
    assert [n for n, _ in [item async for item in stream.numbers(2)]] == [0, 1]


async def test_borrowed_callables_run_where_they_come_from() -> None:
    async def foreign() -> tuple[int, int]:
        call = borrow(threading.get_ident)
        ran = asyncio.run_coroutine_threadsafe(call(), main_loop)
        return threading.get_ident(), await asyncio.wrap_future(ran)

    main_loop = asyncio.get_running_loop()
    there, ran = await asyncio.to_thread(lambda: asyncio.run(foreign()))
    assert there == ran
    assert await borrow(threading.get_ident)() == threading.get_ident()


def test_the_portal_runs_callbacks_in_the_waiting_thread() -> None:
    portal, inbox = Portal("test.portal"), SimpleQueue[Any]()

    async def work() -> tuple[int, int]:
        return await here(inbox, threading.get_ident)(), threading.get_ident()

    ran, loop_thread = portal.wait(inbox, work())
    assert ran == threading.get_ident()
    assert loop_thread != ran

    async def fails() -> None:
        await here(inbox, lambda: 1 / 0)()

    with pytest.raises(ZeroDivisionError):
        portal.wait(inbox, fails())


async def test_a_newer_database_is_refused_and_named(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    from jobqueue import JobQueue

    file = tmp_path / "jobs.db"
    async with JobQueue.from_url(f"sqlite:///{file}") as queue:
        await queue.enqueue("x")
    with sqlite3.connect(file) as link:
        link.execute("UPDATE jobqueue_schema SET version = 9, oldest = 8")
    link.close()
    async with JobQueue.from_url(f"sqlite:///{file}") as queue:
        with pytest.raises(ConfigurationError, match="upgrade jobqueue"):
            await queue.get_stats()


async def test_database_faults_are_the_packages_own(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    from jobqueue import JobQueue

    file = tmp_path / "jobs.db"
    file.write_bytes(b"this is no database" * 100)
    async with JobQueue.from_url(f"sqlite:///{file}") as queue:
        with pytest.raises(BackendError, match="not a database") as caught:
            await queue.enqueue("x")
        assert isinstance(caught.value.__cause__, sqlite3.Error)


async def test_a_cancelled_statement_leaves_the_lane_usable(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    from jobqueue import JobQueue

    async with JobQueue.from_url(f"sqlite:///{tmp_path}/jobs.db") as queue:
        await queue.enqueue("x")
        for turns in range(12):
            task = asyncio.create_task(queue.enqueue_many([("x", {})] * 50))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        before = (await queue.get_stats()).pending
        await queue.enqueue("x")
        assert (await queue.get_stats()).pending == before + 1
        assert before % 50 == 1


@pytest.mark.parametrize("url", ["memory://\x00", "sqlite:///a\ud800.db", "no scheme", "", 5])
def test_what_is_no_url(url: Any) -> None:
    from jobqueue import JobQueue

    with pytest.raises(ConfigurationError, match="URL"):
        _ = JobQueue.from_url(url).broker


def test_settings_of_something_else() -> None:
    from jobqueue import JobQueue

    with pytest.raises(ConfigurationError, match=r"JobQueue\(\) takes Settings, not dict"):
        JobQueue({"broker": {}})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"zzz": 1}, r"`zzz`: there are broker, queues, .*lease"),
        ({"brokr": {}}, "`brokr`: did you mean 'broker'"),
        ({"broker": {"connection": 1}}, r"\$\.broker`: did you mean 'connection_string'"),
        ({"broker": {"x": 1}}, r"\$\.broker`: there are type, "),
        ({"queues": {"mail": {"prioritty": 1}}}, r"\$\.queues\[\.\.\.\]`: did you mean 'priority'"),
        ({"queues": {"mail": {"x": {}}}}, r"\$\.queues\[\.\.\.\]`: there are .*workers"),
    ],
)
def test_an_unknown_key_comes_with_those_that_are_known(
    mapping: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Settings.from_mapping(mapping)
