"""Stores and backplanes of other distributions, found by entry point."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from _common.third_party import installed
from progress_tracker import ConfigurationError, ProgressTracker

CODE = """
from progress_tracker.adapters.memory import MemoryStore


class Attic(MemoryStore):
    pass


class Cellar(MemoryStore):
    @classmethod
    def from_url(cls, url, *, table):
        return cls()


class Misfit(MemoryStore):
    @classmethod
    def from_url(cls, url):
        return cls()
"""
POINTS = {f"progress_tracker.stores/{name.lower()}": name for name in ("Attic", "Cellar", "Misfit")}


@pytest.fixture(autouse=True)
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(tmp_path / "site", monkeypatch, CODE, POINTS):
        yield


@pytest.mark.parametrize("scheme", ["attic", "cellar"])
async def test_a_store_is_found_by_its_scheme(scheme: str) -> None:
    async with ProgressTracker.from_url(f"{scheme}://") as tracker:
        async with tracker.track("a", total=1) as progress:
            progress.update(1)
        assert (await tracker.get("a")).status == "completed"


async def test_one_that_is_made_in_another_way_says_so() -> None:
    with pytest.raises(ConfigurationError, match=r"'misfit' is installed, but Misfit.from_url\(…"):
        await ProgressTracker.from_url("misfit://somewhere").get("a")


@pytest.mark.parametrize("given", [{"store": "sqlite:///p.db"}, {"backplane": "redis://:secret@x"}])
def test_a_part_that_is_none(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="takes a ready") as refused:
        ProgressTracker(**given)
    assert next(iter(given)) in str(refused.value)
    assert "secret" not in str(refused.value)
