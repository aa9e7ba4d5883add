"""Keeping the index: both sides equal, and another model with no downtime."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from .._common.home import at_home, borrow
from .._common.lifecycle import part
from ..errors import BackendError, ConfigurationError
from ..indexing import digest
from ..ports import Changes, Embedder, Span, Stored, VectorStore, version
from ..reports import RepairReport
from ..text.apart import apart
from ..vectors import Vectors
from .base import Parts
from .documents import Documents
from .reading import read
from .writing import embedded

_ROUNDS = 100


class Maintenance(Documents):
    """The part of the service that mends and renews."""

    @at_home
    async def repair(self) -> RepairReport:
        """Make the keyword side equal to the store, document by document; say what was wrong.

        An index that lives in memory follows the store by itself and finds nothing to do; one that
        is kept elsewhere may have missed a write when a process was killed between the two sides.

        Raises:
            BackendError: A side failed; calling again goes on.
        """
        async with self._ready() as parts:
            sides = parts.sides
            found = await sides.store.refresh(None)
            there = {each.id: each for each in found.upserted}
            known = await sides.keywords.documents()
            report = await asyncio.to_thread(_compared, there, known)
            wrong = await read(sides.store, [there[n] for n in (*report.missing, *report.stale)])
            if report.differences:
                await sides.keywords.apply(
                    Changes(upserted=wrong, deleted=report.superfluous, position=found.position)
                )
            sides.keywords.position = found.position
        return report

    async def reindex(
        self, embedder: Embedder, *, on_progress: Callable[[int], None] | None = None
    ) -> int:
        """Make all vectors anew with another model, and use it from then on.

        Meanwhile everything goes on with the old one; what is written in between is taken along.
        Other processes that use the index say, at their next call, that they must be started again
        with the new model.

        Args:
            embedder: The new model.
            on_progress: Called with the number of vectors made, on the loop that runs now.

        Returns:
            How many vectors were made.

        Raises:
            UnsupportedOperationError: The store cannot do this.
            ConfigurationError: It is no embedder, or a document has a vector of its own, which no
                model can make anew.
            EmbeddingError: The model failed; the index is as it was.
        """
        if part("embedder", embedder, Embedder) is None:
            raise ConfigurationError("reindex takes the new embedder, not None")
        report = None if on_progress is None else borrow(on_progress)
        return await self._reindex(embedder, report)

    @at_home
    async def _reindex(
        self, embedder: Embedder, on_progress: Callable[[int], Awaitable[None]] | None
    ) -> int:
        parts = self._parts
        size = self.settings.indexing.batch_size
        vectors = Vectors(
            embedder, self.settings.embeddings.batch_size, cache=parts.sides.vectors.cache
        )
        dimension = await vectors.dimension()
        beside = parts.sides.store.beside()
        try:
            await beside.open(embedder.model_id, dimension, create=True)
            made = await self._filled(vectors, beside, size, on_progress)
        except BaseException:
            await beside.aclose()  # nobody else knows of it
            raise
        async with self._ready():
            return made

    async def _filled(
        self,
        vectors: Vectors,
        beside: VectorStore,
        size: int,
        on_progress: Callable[[int], Awaitable[None]] | None,
    ) -> int:
        """Fill another store until it has what ours has, and let it take that place."""
        made, position = 0, None
        for _ in range(_ROUNDS):
            async with self._ready() as parts:
                changes = await parts.sides.store.refresh(position)
            await beside.delete(list(changes.deleted))
            for start in range(0, len(changes.upserted), size):
                some = await read(parts.sides.store, changes.upserted[start : start + size])
                await self._remade(parts, vectors, some, beside)
                made += len(some)
                if on_progress is not None:
                    await on_progress(made)
            position = changes.position
            async with parts.writes, self._ready() as parts:
                if await parts.sides.store.supersede(beside, position):
                    self._switch(parts, vectors, beside)
                    return made
        raise BackendError("the index changes faster than it can be made anew", retryable=True)

    async def _remade(
        self, parts: Parts, vectors: Vectors, part: Sequence[Stored], beside: VectorStore
    ) -> None:
        old, new = parts.sides.vectors.embedder.model_id, vectors.embedder.model_id
        texts = {each.id: each.content for each in part}

        def work() -> tuple[dict[str, tuple[Span, ...]], dict[str, str]]:
            for each in part:
                if each.digest != digest(old, each.content, None):
                    raise ConfigurationError(
                        f"document {each.id!r} has a vector of its own: no model can make it anew"
                    )
            cut = (lambda _: ()) if parts.chunker is None else parts.chunker.spans
            return (
                {name: cut(text) for name, text in texts.items()},
                {name: digest(new, text, None) for name, text in texts.items()},
            )

        spans, digests = await apart(work, sum(map(len, texts.values())))
        made = await embedded(vectors, texts, spans)
        remade = [
            replace(each, vector=vector, chunks=chunks, digest=digests[each.id])
            for each, (vector, chunks) in zip(part, made.values(), strict=True)
        ]
        await beside.upsert(remade)

    def _switch(self, parts: Parts, vectors: Vectors, store: VectorStore) -> None:
        """Use the new model: calls that run go on with the old one, whose documents stay."""
        self._embedder = vectors.embedder
        if self._store is not None:
            self._store = store
        parts.retired += [parts.sides.store, parts.sides.vectors]
        parts.sides = replace(parts.sides, store=store, vectors=vectors)
        parts.catch_up.follow(parts.sides)


def _compared(there: Mapping[str, Stored], known: Mapping[str, str]) -> RepairReport:
    return RepairReport(
        missing=[name for name in there if name not in known],
        stale=[
            name for name, each in there.items() if name in known and known[name] != version(each)
        ],
        superfluous=[name for name in known if name not in there],
    )
