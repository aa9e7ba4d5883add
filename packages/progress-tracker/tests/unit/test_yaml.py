"""The YAML block of the users' specification loads, and each key has its effect."""

import logging
from pathlib import Path
from typing import Any

import pytest

from progress_tracker import ConfigurationError, ProgressNotFound, ProgressTracker, Settings
from progress_tracker.cli.targets import web_url
from progress_tracker.registry import store_from_url
from progress_tracker.testing import FakeClock

BLOCK = """
progress_tracker:
  # Persistence backend
  storage:
    type: postgresql # or mongodb, redis, memory
    connection_string: "${DATABASE_URL}"
    table: "progress"

  # Cache configuration
  cache:
    enabled: true
    ttl: 3600 # seconds

  # Cleanup
  cleanup:
    enabled: true
    retain_completed: 86400 # 24 hours
    retain_failed: 604800 # 7 days

  # Real-time updates
  realtime:
    enabled: true
    websocket_url: "ws://localhost:8000/ws/progress"
"""
URL = "postgresql://me:secret@db/app"


@pytest.fixture
def loaded(tmp_path: Path) -> Settings:
    pytest.importorskip("yaml")
    path = tmp_path / "settings.yaml"
    path.write_text(BLOCK)
    return Settings.from_yaml(path, environ={"DATABASE_URL": URL})


def test_the_block_loads(loaded: Settings) -> None:
    assert loaded.storage.url() == URL
    assert (loaded.storage.type, loaded.storage.table) == ("postgresql", "progress")
    assert (loaded.cache.enabled, loaded.cache.ttl) == (True, 3600)
    assert (loaded.cleanup.retain_completed, loaded.cleanup.retain_failed) == (86_400, 604_800)
    assert loaded.realtime.websocket_url == "ws://localhost:8000/ws/progress"


def test_it_says_what_we_do_anyway(loaded: Settings) -> None:
    plain = Settings()
    assert (loaded.cache, loaded.cleanup) == (plain.cache, plain.cleanup)


def tracker(clock: FakeClock | None = None, **sections: Any) -> ProgressTracker:
    return ProgressTracker(Settings.from_mapping(sections), clock=clock)


async def test_a_type_that_is_not_here_loads_and_is_refused_at_first_use() -> None:
    made = tracker(storage={"type": "dbase", "connection_string": "dbase://localhost/0"})
    known = "mariadb, memory, mongodb, mysql, postgres, postgresql, redis"
    with pytest.raises(ConfigurationError, match=f"known: {known}"):
        await made.create()


@pytest.mark.parametrize(
    ("kind", "url", "module", "store"),
    [
        ("redis", "redis://h/0", "redis", "RedisStore"),
        ("redis", "valkey://h/0", "redis", "RedisStore"),
        ("mongodb", "mongodb://h/db", "pymongo", "MongoStore"),
        ("mysql", "mysql://h/db", "asyncmy", "MySQLStore"),
        ("mysql", "mariadb://h/db", "asyncmy", "MySQLStore"),
        ("postgresql", "postgresql://h/db", "asyncpg", "PostgresStore"),
    ],
)
def test_each_type_has_its_store(kind: str, url: str, module: str, store: str) -> None:
    """Nothing connects before the first call."""
    pytest.importorskip(module)
    section = Settings.from_mapping({"storage": {"type": kind, "connection_string": url}})
    made = store_from_url(section.storage.url(), table=section.storage.table)
    assert type(made).__name__ == store
    assert type(made.twin()) is type(made)


@pytest.mark.parametrize(
    "storage",
    [
        {"type": "postgresql"},
        {"type": "postgresql", "connection_string": "redis://x"},
        {"type": "sqlite", "connection_string": "postgresql://x"},
        {"connection_string": "nonsense"},
        {"connection_string": ""},
        {"type": "redis", "connection_string": " "},
        {"connection_string": "memory://?x=1"},
        {"connection_string": "sqlite:///x.db?synchronous=MAYBE"},
        {"connection_string": "sqlite:///x.db?x=1"},
    ],
)
async def test_storage_that_contradicts_itself(storage: Any) -> None:
    with pytest.raises(ConfigurationError):
        await tracker(storage=storage).create()


async def test_storage_table(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    url = f"sqlite:///{tmp_path}/p.db"
    one = tracker(storage={"type": "sqlite", "connection_string": url, "table": "one"})
    two = tracker(storage={"type": "sqlite", "connection_string": url, "table": "two"})
    async with one, two:
        await one.create(id="x")
        with pytest.raises(ProgressNotFound):
            await two.get("x")
        assert "CREATE TABLE IF NOT EXISTS two" in two.schema_sql()
    with pytest.raises(ConfigurationError, match=r"\$\.storage\.table"):
        tracker(storage={"table": "x; DROP TABLE y"})


async def test_cache(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    url, clock = f"sqlite:///{tmp_path}/p.db", FakeClock()
    calls: list[str] = []

    def counted(**cache: Any) -> ProgressTracker:
        made = tracker(clock, storage={"connection_string": url}, cache=cache)
        store: Any = made.store
        inner: Any = getattr(store, "inner", store)
        read = inner.get

        async def get(id: str) -> Any:
            calls.append(id)
            return await read(id)

        inner.get = get
        return made

    async with counted(enabled=True, ttl=60) as made:
        await made.create(id="x")
        for _ in range(3):
            await made.get("x")
        assert calls == ["x"]
        await made.update("x", 50)
        assert (await made.get("x")).progress == 50, "own writes are seen at once"
        assert len(calls) == 2
        await clock.advance(61)
        calls.clear()
        await made.get("x")
        assert calls == ["x"], "the ttl is over"
        await made.delete("x")
        with pytest.raises(ProgressNotFound):
            await made.get("x")
    calls.clear()
    async with counted(enabled=False) as made:
        await made.create(id="y")
        await made.get("y")
        await made.get("y")
        assert not hasattr(made.store, "inner")


async def test_a_cache_hears_of_other_processes(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    from helpers import until

    url = f"sqlite:///{tmp_path}/p.db"
    realtime = {"backplane": "polling://?interval=0.01"}
    ours = tracker(storage={"connection_string": url}, realtime=realtime)
    theirs = tracker(storage={"connection_string": url})
    async with ours, theirs:
        await ours.create(id="x")
        assert (await ours.get("x")).progress == 0
        await theirs.update("x", 70)

        async def seen() -> bool:
            return (await ours.get("x")).progress == 70

        await until(seen)


async def test_cleanup() -> None:
    clock = FakeClock()
    made = tracker(clock, cleanup={"retain_completed": 10, "retain_failed": 20})
    async with made:
        for id, step in (("c", made.complete), ("f", made.fail)):
            await made.create(id=id)
            await step(id, "x")
        await clock.advance(11)
        assert (await made.sweep()).deleted == 1
        await clock.advance(10)
        assert (await made.sweep()).deleted == 1
    off = tracker(clock, cleanup={"enabled": False, "retain_completed": 10})
    async with off:
        await off.create(id="c")
        await off.complete("c")
        await clock.advance(1000)
        await off.create(id="d")
        await clock.advance(0)
        assert await off.get("c")
        assert (await off.sweep()).deleted == 1


@pytest.mark.parametrize(
    ("socket", "web"),
    [
        ("ws://localhost:8000/ws/progress", "http://localhost:8000"),
        ("wss://a.example/p/ws/progress/", "https://a.example/p"),
        ("http://a.example/p", "http://a.example/p"),
    ],
)
def test_the_websocket_url_tells_where_the_application_is(socket: str, web: str) -> None:
    assert web_url(socket) == web


async def test_realtime_backplane() -> None:
    for bad in ("polling://?interval=0", "polling://?interval=x", "nothing://", "memory://?x=1"):
        with pytest.raises(ConfigurationError):
            await tracker(realtime={"backplane": bad}).create()
    async with tracker(realtime={"backplane": "memory://"}) as made:
        await made.create(id="x")


@pytest.mark.parametrize(
    "wrong",
    [
        {"unknown": 1}, {"storage": {"unknown": 1}}, {"cache": {"ttl": -1}},
        {"cache": {"ttl": "x"}}, {"min_interval": 0}, {"on_store_error": "ignore"},
        {"lease": 0}, {"stale_after": 0},
    ],
)  # fmt: skip
def test_wrong_settings_name_their_path(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"progress_tracker settings: "):
        Settings.from_mapping(wrong)


async def test_unconfigured_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    async with ProgressTracker() as made:
        await made.create()
        await made.create()
    warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "PROGRESS_TRACKER_URL" in warnings[0].getMessage()


async def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROGRESS_TRACKER_STRICT", "1")
    with pytest.raises(ConfigurationError, match="STRICT"):
        await ProgressTracker().create()
    monkeypatch.setenv("PROGRESS_TRACKER_URL", "memory://")
    async with ProgressTracker() as made:
        await made.create()
        with pytest.raises(ConfigurationError, match="before the first"):
            made.configure("memory://")
