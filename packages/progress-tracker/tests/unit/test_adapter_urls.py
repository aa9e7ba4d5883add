"""What the URLs of servers may say; nothing connects."""

from typing import Any

import pytest

from progress_tracker import ConfigurationError
from progress_tracker.adapters.memory import MemoryStore
from progress_tracker.registry import backplane_from_url, store_from_url
from progress_tracker.testing import FakeClock

NEEDS = {"redis": "redis", "valkey": "redis", "unix": "redis", "postgresql": "asyncpg"}
NEEDS |= {"mysql": "asyncmy", "mongodb": "pymongo"}


def _store(url: str) -> Any:
    pytest.importorskip(NEEDS[url.partition(":")[0]])
    return store_from_url(url, table="ours")


@pytest.mark.parametrize(
    "url",
    [
        "redis://h/0?timeout=0",
        "redis://h/0?timeout=soon",
        "redis://h/0?pool=0",
        "redis://h/0?prefix=a%20b",
        "redis://h/0?prefix=",
        "redis://h/name",
        "redis://h/0?pool=1&pool=2",
        "postgresql://h/db?timeout=nan",
        "postgresql://h/db?notify=maybe",
        "mysql://h/db?pool=1000",
        "mongodb://h/db?timeout=-1",
    ],
)
def test_wrong_options_are_named(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"timeout|pool|prefix|number|notify|twice"):
        _store(url)


def test_a_password_is_never_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        _store("redis://user:secret@h/name")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://h/0", "valkey://h/0", "unix:///tmp/redis.sock"])
def test_keys_begin_with_the_table_or_the_prefix(url: str) -> None:
    assert _store(url)._key == b"{ours}"
    assert _store(f"{url}?prefix=x.y")._key == b"{x.y}"
    assert _store(url).twin()._key == b"{ours}"


@pytest.mark.parametrize(
    ("url", "rings"),
    [
        ("redis://h/0", True),
        ("postgresql://h/db", True),
        ("postgresql://h/db?notify=off", False),
        ("mysql://h/db", False),
        ("mongodb://h/db", False),
    ],
)
async def test_the_backplane_that_fits(url: str, rings: bool) -> None:
    """Stores whose writes ring bring their own, and nobody publishes a second time."""
    store = _store(url)
    found = backplane_from_url(None, store, clock=FakeClock())
    assert (type(found).__name__ == "PollingBackplane") is not rings
    if rings:
        for each in (found, found.twin()):
            await each.publish(["x"])  # nothing to do, so nothing connects


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://h/0?prefix=p", "RedisBackplane"),
        ("valkey://h/0", "RedisBackplane"),
        ("postgresql://h/db?timeout=1", "PostgresBackplane"),
    ],
)
def test_backplanes_may_be_named(url: str, name: str) -> None:
    pytest.importorskip(NEEDS[url.partition(":")[0]])
    found = backplane_from_url(url, MemoryStore(), clock=FakeClock(), table="ours")
    assert type(found).__name__ == name
    assert type(found.twin()).__name__ == name


async def test_a_server_that_is_not_there_is_our_error() -> None:
    """Also for a backplane that is named: the tracker goes on by polling."""
    from progress_tracker import BackendError

    for url in ("redis://127.0.0.1:1/0", "postgresql://u@127.0.0.1:1/db"):
        pytest.importorskip(NEEDS[url.partition(":")[0]])
        async with backplane_from_url(url, MemoryStore(), clock=FakeClock()) as found:
            with pytest.raises(BackendError) as caught:
                await found.listen(lambda ids: None, list)
            assert caught.value.retryable
            with pytest.raises(BackendError):
                await found.publish(["x"])
