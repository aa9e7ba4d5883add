"""Documents are indexed: checked, embedded where they are new, written in batches."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial

from .._common.home import at_home, borrow
from ..errors import ConfigurationError
from ..indexing import Checked, check_document, digest, is_same, length, listed, unit
from ..models import SearchDocument
from ..ports import Chunk, Span, Stored, Vector
from ..reports import IndexReport
from ..text.apart import apart
from ..vectors import Vectors
from .base import Parts, ServiceBase

_BREATH = 0.01
"""Seconds after which others have their turn."""


class Writing(ServiceBase):
    """The part of the service that takes documents in."""

    async def index(self, document: SearchDocument) -> IndexReport:
        """Add or replace a document; it is found when this returns.

        Unchanged text is not embedded again.

        Raises:
            InvalidDocument: Its id, content or metadata cannot be indexed.
            DimensionMismatch: Its ``embeddings`` have another length than the index.
            EmbeddingError: The embedder failed, or ``embeddings`` are zero or not finite.
            ConfigurationError: It does not pass the tenant filter.
        """
        return await self.index_batch([document])

    async def index_batch(
        self,
        documents: Iterable[SearchDocument],
        *,
        on_progress: Callable[[int], None] | None = None,
    ) -> IndexReport:
        """Add or replace documents, ``indexing.batch_size`` at a time.

        All documents are checked before the first is written. Each batch is written whole or not
        at all: after a failure or a cancellation, calling again goes on where it stopped, because
        what is there already is not embedded again.

        Args:
            documents: The last of several with one id counts.
            on_progress: Called with the number of documents done, on the loop that runs now.

        Raises:
            SemSearchError: As for :meth:`index`.
        """
        report = None if on_progress is None else borrow(on_progress)
        return await self._index_all(listed(documents), report)

    @at_home
    async def _index_all(
        self,
        documents: Sequence[SearchDocument],
        on_progress: Callable[[int], Awaitable[None]] | None,
    ) -> IndexReport:
        checked = await self._checked(documents)
        report: dict[str, list[str]] = {"indexed": [], "updated": [], "unchanged": []}
        names, size, done = list(checked), self.settings.indexing.batch_size, 0
        for start in range(0, len(names), size):
            part = {name: checked[name] for name in names[start : start + size]}
            async with self._parts.writes, self._ready() as parts:
                await self._index_part(parts, part, report)
                # within, so that who cancels or closes in between finds what was written
                await parts.catch_up()
            done += len(part)
            if on_progress is not None:
                await on_progress(done)
        if report["indexed"]:
            async with self._parts.writes, self._ready() as parts:
                await parts.sides.store.settle()
        return IndexReport(**report)

    async def _checked(self, documents: Sequence[SearchDocument]) -> dict[str, Checked]:
        limit = self.settings.indexing.max_content
        dimension = await self._parts.sides.vectors.dimension()
        checked, begun = {}, self._clock.monotonic()
        for each in documents:
            if self._clock.monotonic() - begun > _BREATH:
                await asyncio.sleep(0)
                begun = self._clock.monotonic()
            content, metadata, size = await apart(
                partial(check_document, each, limit), length(each)
            )
            if self._tenant is not None and not self._tenant.matches(metadata):
                raise ConfigurationError(f"document {each.id!r} does not pass the tenant filter")
            vector = None
            if each.embeddings is not None:
                vector = unit(each.embeddings, dimension, f"the vector of {each.id!r}")
            checked[each.id] = Checked(content, metadata, vector, size)
        return checked

    async def _index_part(
        self, parts: Parts, part: Mapping[str, Checked], report: dict[str, list[str]]
    ) -> None:
        sides, model = parts.sides, parts.sides.vectors.embedder.model_id
        known = await sides.store.get(list(part))
        self._guard_tenant(known.values())
        spans, digests = await self._spans(parts, part), await _digests(model, part)
        fresh = [
            name
            for name in part
            if name not in known
            or known[name].digest != digests[name]
            or tuple(sides.store.spans(name)) != spans[name]
        ]
        computed = {name: part[name].content for name in fresh if part[name].given is None}
        made = await embedded(sides.vectors, computed, spans)
        same = await _same({n: known[n] for n in part.keys() - set(fresh)}, digests, part)
        written, kinds = [], {"indexed": set(fresh), "updated": set[str](), "unchanged": same}
        for name, each in part.items():
            chunks: tuple[Chunk, ...] | None = ()
            if name in same:
                continue
            if name not in fresh:
                vector, chunks = known[name].vector, None
                kinds["updated"].add(name)
            elif each.given is None:
                vector, chunks = made[name]
            else:
                vector = each.given
            written.append(Stored(name, each.content, each.metadata, vector, digests[name], chunks))
        if written:
            await sides.store.upsert(written)
        for kind, names in kinds.items():
            report[kind] += [name for name in part if name in names]

    async def _spans(
        self, parts: Parts, part: Mapping[str, Checked]
    ) -> dict[str, tuple[Span, ...]]:
        """Return where to cut each document; one that brings its vector stays whole."""
        chunker = parts.chunker

        def work() -> dict[str, tuple[Span, ...]]:
            return {
                name: ()
                if chunker is None or each.given is not None
                else chunker.spans(each.content)
                for name, each in part.items()
            }

        return await apart(work, _size(part))

    def _guard_tenant(self, documents: Iterable[Stored]) -> None:
        for each in documents:
            if not self._sees(each):
                # as if the id were taken by nobody: it may not even be told that it is
                raise ConfigurationError(f"document {each.id!r} cannot be written here")


def _size(part: Mapping[str, Checked]) -> int:
    return sum(each.size for each in part.values())


async def _digests(model: str, part: Mapping[str, Checked]) -> dict[str, str]:
    """Return the digests of documents by id."""

    def work() -> dict[str, str]:
        return {name: digest(model, each.content, each.given) for name, each in part.items()}

    return await apart(work, _size(part))


async def _same(
    known: Mapping[str, Stored], digests: Mapping[str, str], part: Mapping[str, Checked]
) -> set[str]:
    """Return the ids of the documents that are there as they are."""

    def work() -> set[str]:
        return {name for name, each in known.items() if is_same(each, digests[name], part[name])}

    return await apart(work, _size(part))


async def embedded(
    vectors: Vectors, texts: Mapping[str, str], spans: Mapping[str, Sequence[Span]]
) -> dict[str, tuple[Vector, tuple[Chunk, ...]]]:
    """Return the vectors of documents by id, and of their parts."""
    pieces = await apart(
        lambda: [
            text
            for name, whole in texts.items()
            for text in (whole, *(whole[start:end] for start, end in spans[name]))
        ],
        sum(map(len, texts.values())),
    )
    made = iter(await vectors.of_documents(pieces))
    return {
        name: (next(made), tuple(Chunk(start, end, next(made)) for start, end in spans[name]))
        for name in texts
    }
