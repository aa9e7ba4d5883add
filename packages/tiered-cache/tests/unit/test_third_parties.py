"""Adapters of other distributions, found by entry point."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from _common.third_party import installed
from tiered_cache import CacheProvider, ConfigurationError

CODE = """
from tiered_cache.testing import MemoryRemote


class Attic(MemoryRemote):
    def __init__(self, url, *, key_prefix, timeout):
        super().__init__()
        self.url = url


class Cellar(Attic):
    @classmethod
    def from_url(cls, url, **named):
        return cls(url + "#cellar", **named)


class Misfit(MemoryRemote):
    def __init__(self, path):
        super().__init__()
"""
POINTS = {f"tiered_cache.remotes/{name.lower()}": name for name in ("Attic", "Cellar", "Misfit")}


@pytest.fixture(autouse=True)
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(tmp_path / "site", monkeypatch, CODE, POINTS):
        yield


@pytest.mark.parametrize("scheme", ["attic", "cellar"])
async def test_a_shared_level_is_found_by_its_scheme(scheme: str) -> None:
    async with CacheProvider.from_url(f"{scheme}://somewhere") as cache:
        await cache.set("k", 1)
        assert await cache.get("k") == 1


async def test_one_that_is_made_in_another_way_says_so() -> None:
    with pytest.raises(ConfigurationError, match=r"'misfit' is installed, but Misfit\(…"):
        await CacheProvider.from_url("misfit://somewhere").get("k")


@pytest.mark.parametrize(
    "given", [{"local": {}}, {"remote": "redis://:secret@x"}, {"backplane": "redis://:secret@x"}]
)
def test_a_part_that_is_none(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="takes a ready") as refused:
        CacheProvider(**given)
    assert next(iter(given)) in str(refused.value)
    assert "secret" not in str(refused.value)
