"""The usage samples of the users' specification run as they are written."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from semsearch import SearchDocument, SearchQuery, search_service


@dataclass
class Transcript:
    """What the samples leave free."""

    id: int
    text: str
    language: str
    created_at: datetime
    duration: float


# Index a document
async def index_transcript(transcript: Transcript):
    await search_service.index(
        SearchDocument(
            id=str(transcript.id),
            content=transcript.text,
            metadata={
                "language": transcript.language,
                "created_at": transcript.created_at.isoformat(),
                "duration": transcript.duration,
            },
        )
    )


# Search
async def search_transcripts(query: str, filters: dict = None):
    results = await search_service.search(
        SearchQuery(query=query, filters=filters, limit=10, hybrid=True)
    )
    return results


@pytest.fixture(params=["memory", "sqlite"])
async def _configured(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[None]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/s.db"
    search_service.configure(url)
    yield
    await search_service.aclose()


@pytest.mark.usefixtures("_configured")
async def test_samples_run_as_written() -> None:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    await index_transcript(Transcript(1, "The tides follow the moon.", "en", when, 60.0))
    await index_transcript(Transcript(2, "The meeting is about the budget.", "en", when, 90.0))
    await index_transcript(Transcript(3, "Der Mond und die Gezeiten.", "de", when, 30.0))
    results = await search_transcripts("tides")
    assert results[0].id == "1"
    assert results[0].metadata["duration"] == 60.0
    assert [hit.id for hit in await search_transcripts("Mond", {"language": "de"})] == ["3"]
