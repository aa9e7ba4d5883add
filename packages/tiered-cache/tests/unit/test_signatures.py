"""Our classes take what the users' specification says, in its order."""

import dataclasses
import inspect

import pytest

from tiered_cache import CacheOptions, CacheProvider, CacheStats, sync

SPECIFIED = {
    "get": ["key"],
    "set": ["key", "value", "options"],
    "get_or_set": ["key", "factory", "options"],
    "delete": ["key"],
    "delete_pattern": ["pattern"],
    "invalidate": ["tags"],
    "clear": [],
    "get_stats": [],
    "cached": ["ttl", "tags"],
}


@pytest.mark.parametrize("method", SPECIFIED)
def test_parameters(method: str) -> None:
    ours = list(inspect.signature(getattr(CacheProvider, method)).parameters)[1:]
    assert ours[: len(SPECIFIED[method])] == SPECIFIED[method]


def test_defaults() -> None:
    assert inspect.signature(CacheProvider.cached).parameters["ttl"].default == 300


def test_fields() -> None:
    names = [each.name for each in dataclasses.fields(CacheOptions)]
    assert names[:3] == ["ttl", "tags", "compress"]
    names = [each.name for each in dataclasses.fields(CacheStats)]
    assert names[:5] == ["hits", "misses", "hit_rate", "size", "keys"]


PUBLIC = sorted(name for name in vars(sync.CacheProvider) if not name.startswith("_"))


def test_sync_has_the_same_methods() -> None:
    inner = {
        "ask",
        "ask_blocking",
        "clock",
        "live",
        "opened",
        "own_leases",
        "peek",
        "settings",
        "settings_type",
        "durable_example",
        "figures",
    }
    theirs = {name for name in dir(CacheProvider) if not name.startswith("_")} - inner
    assert set(PUBLIC) == theirs - {"aclose"} | {"close"}


@pytest.mark.parametrize("method", [name for name in PUBLIC if name not in {"close", "from_url"}])
def test_sync_signatures(method: str) -> None:
    ours = inspect.signature(getattr(sync.CacheProvider, method)).parameters
    theirs = inspect.signature(getattr(CacheProvider, method)).parameters
    assert [(p.name, p.kind, p.default) for p in ours.values()] == [
        (p.name, p.kind, p.default) for p in theirs.values()
    ]
