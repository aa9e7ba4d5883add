"""Search over everything that was ever said, through semsearch: one document per segment."""

from collections.abc import Collection, Mapping
from typing import Any

from semsearch import (
    DocumentNotFound,
    SearchDocument,
    SearchResult,
    SearchResults,
    SearchService,
)

from .. import correlation
from ..library import Entry
from ..transcript import Transcript


async def index(search: SearchService, entry: Entry, transcript: Transcript) -> int:
    """Make a transcript findable; return how many segments it has."""
    spoken = {
        number: segment
        for number, segment in enumerate(transcript.segments)
        if segment.text.strip()
    }
    documents = [
        SearchDocument(
            id=f"{entry.id}:{number}",
            content=segment.text,
            metadata={
                "transcript": entry.id,
                "user": entry.user_id,
                "title": entry.title,
                "speaker": segment.speaker or "Unknown",
                "language": transcript.language,
                "start": segment.start,
                "number": number,
                **correlation.metadata(),
            },
        )
        for number, segment in spoken.items()
    ]
    # what is there already stays findable all the while; segments that are no more go last
    await search.index_batch(documents)
    await _forget_others(search, entry, spoken.keys())
    return len(documents)


async def _forget_others(search: SearchService, entry: Entry, kept: Collection[int]) -> None:
    last = max(kept, default=-1)
    between = sorted(set(range(last)).difference(kept))
    gone = [{"number": {"$gt": last}}, {"number": {"$in": between}}]
    await search.delete_by_filter({"$and": [{"transcript": entry.id}, {"$or": gone}]})


async def find(
    search: SearchService, user_id: str, text: str, filters: Mapping[str, Any], limit: int = 20
) -> SearchResults:
    """Return what a user's transcripts say about ``text``."""
    own: dict[str, Any] = {
        "$and": [{"user": user_id}, dict(filters)] if filters else [{"user": user_id}]
    }
    return await search.search(
        text, filters=own, limit=limit, threshold=0.6, facets=["speaker", "language", "title"]
    )


async def similar(
    search: SearchService, user_id: str, segment_id: str, limit: int = 10
) -> list[SearchResult]:
    """Return what a user's transcripts say that is like one of their segments; [] if unknown."""
    try:
        if ((await search.get(segment_id)).metadata or {}).get("user") != user_id:
            return []
        return await search.find_similar(segment_id, limit, filters={"user": user_id})
    except DocumentNotFound:
        return []
