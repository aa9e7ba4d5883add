"""Brokers of other distributions, found by entry point."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from _common.third_party import installed
from jobqueue import ConfigurationError, JobQueue

CODE = """
from jobqueue.adapters.memory import MemoryBroker


class Attic(MemoryBroker):
    pass


class Cellar(MemoryBroker):
    @classmethod
    def from_url(cls, url, *, clock):
        return cls(clock=clock)


class Misfit(MemoryBroker):
    @classmethod
    def from_url(cls, url):
        return cls()
"""
POINTS = {f"jobqueue.brokers/{name.lower()}": name for name in ("Attic", "Cellar", "Misfit")}


@pytest.fixture(autouse=True)
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(tmp_path / "site", monkeypatch, CODE, POINTS):
        yield


@pytest.mark.parametrize("scheme", ["attic", "cellar"])
async def test_a_broker_is_found_by_its_scheme(scheme: str) -> None:
    async with JobQueue.from_url(f"{scheme}://") as queue:
        await queue.enqueue("x")
        assert (await queue.get_stats()).pending == 1


async def test_one_that_is_made_in_another_way_says_so() -> None:
    with pytest.raises(ConfigurationError, match=r"'misfit' is installed, but Misfit.from_url\(…"):
        await JobQueue.from_url("misfit://somewhere").enqueue("x")


@pytest.mark.parametrize("given", [{"broker": "redis://:secret@x"}, {"middleware": [print]}])
def test_a_part_that_is_none(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="takes a ready") as refused:
        JobQueue(**given)
    assert next(iter(given)) in str(refused.value)
    assert "secret" not in str(refused.value)
