"""The usage samples of the users' specification run as they are written."""

from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from tiered_cache import CacheOptions, cache


class Transcript:
    """An ORM row: a type that has no bytes."""

    def __init__(self, id: str) -> None:
        self.id = id


class Database:
    """What the sample leaves free."""

    def __init__(self) -> None:
        self.queries = 0
        self.updates: list[object] = []

    def query(self, kind: type) -> SimpleNamespace:
        async def first() -> object:
            self.queries += 1
            return kind(self.wanted)

        def filter_by(id: str) -> SimpleNamespace:
            self.wanted = id
            return SimpleNamespace(first=first)

        return SimpleNamespace(filter_by=filter_by)

    async def update(self, transcript_id: str, data: dict) -> object:
        self.updates.append((transcript_id, data))
        return data


db = Database()
searches: list[str] = []


async def perform_rag_search(query: str) -> list[str]:
    searches.append(query)
    return [f"about {query}"]


# Using the decorator
@cache.cached(ttl=3600, tags=["transcripts"])
async def get_transcript(transcript_id: str):
    return await db.query(Transcript).filter_by(id=transcript_id).first()


# Using get_or_set
async def get_rag_results(query: str):
    return await cache.get_or_set(
        f"rag:{hash(query)}",
        lambda: perform_rag_search(query),
        CacheOptions(ttl=1800, tags=["rag"]),
    )


# Manual cache operations
async def update_transcript(transcript_id: str, data: dict):
    result = await db.update(transcript_id, data)
    await cache.delete(f"transcript:{transcript_id}")
    await cache.invalidate(["transcripts"])
    return result


@pytest.fixture(params=["memory://", "sqlite"])
async def _configured(request: pytest.FixtureRequest, tmp_path: object) -> AsyncIterator[None]:
    url = request.param if "://" in request.param else f"sqlite:///{tmp_path}/c.db"
    cache.configure(url)
    db.queries = 0
    searches.clear()
    yield
    await cache.aclose()


@pytest.mark.usefixtures("_configured")
@pytest.mark.filterwarnings("ignore::UserWarning")
async def test_samples_run_as_written() -> None:
    first = await get_transcript("t1")
    assert await get_transcript("t1") is first
    assert (first.id, db.queries) == ("t1", 1)
    assert await update_transcript("t1", {"text": "new"}) == {"text": "new"}
    assert await get_transcript("t1") is not first
    assert db.queries == 2
    assert await get_rag_results("tides") == await get_rag_results("tides") == ["about tides"]
    assert searches == ["tides"]
    await cache.invalidate(["rag"])
    await get_rag_results("tides")
    assert searches == ["tides", "tides"]
