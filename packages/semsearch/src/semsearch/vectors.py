"""Making vectors: in batches, in a thread, each text once."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from .errors import EmbeddingError
from .indexing import unit
from .ports import Embedder, EmbeddingCache, Matrix, Vector
from .remembering import Remembered
from .text.apart import apart

_QUERIES = 1000


class Vectors:
    """Makes vectors with one embedder, and remembers them.

    Vectors of queries are remembered apart: many of them must not push out those of documents.
    """

    def __init__(
        self,
        embedder: Embedder,
        batch_size: int,
        *,
        cache: EmbeddingCache | None = None,
        remember: int = 10_000,
    ) -> None:
        """Call ``embedder`` with up to ``batch_size`` texts; keep ``remember`` vectors here."""
        self.embedder, self._batch, self.cache = embedder, batch_size, cache
        self._known = Remembered(cache, remember)
        self._queries: OrderedDict[bytes, Vector] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        self._loaded = False
        self.asked = self.found = 0

    def detach(self) -> None:
        """Forget the lock of another event loop."""
        self._one_at_a_time = asyncio.Lock()

    async def aclose(self) -> None:
        """Let the embedder and the cache give back what they hold; both work again afterwards."""
        self._loaded = False
        await asyncio.to_thread(self.embedder.close)
        if (close := getattr(self.cache, "aclose", None)) is not None:
            await close()

    async def dimension(self) -> int:
        """Return the length of the vectors; the model is loaded, in a thread, where that tells it.

        Raises:
            EmbeddingError: It cannot be loaded.
        """
        if not self._loaded:
            await self._guarded(self.embedder.load)
            self._loaded = True
        return self.embedder.dimension

    async def of_documents(self, texts: Sequence[str]) -> list[Vector]:
        """Return the unit vectors of ``texts``, in order.

        A text without any feature (empty, only stop words) gets a fixed vector of its own.

        Raises:
            EmbeddingError: The embedder failed, or returned what is not one vector per text.
        """
        dimension = await self.dimension()
        prefix = f"{self.embedder.model_id}\0{dimension}\0".encode()
        keys = await apart(lambda: [_key(prefix, text) for text in texts], sum(map(len, texts)))
        found = await self._known.get(list(dict.fromkeys(keys)), dimension)
        self.asked += len(keys)
        self.found += sum(key in found for key in keys)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        names, wanted = list(missing), list(missing.values())
        for start in range(0, len(wanted), self._batch):
            rows = await self._embed(wanted[start : start + self._batch])
            fresh = dict(
                zip(names[start : start + self._batch], map(self._normal, rows), strict=True)
            )
            await self._known.put(fresh)
            found |= fresh
        return [found[key] for key in keys]

    async def of_query(self, text: str) -> Vector:
        """Return the unit vector of a query.

        Raises:
            EmbeddingError: The embedder failed.
        """
        import numpy as np

        key = _key(b"", text)
        if (known := self._queries.get(key)) is not None:
            self._queries.move_to_end(key)
            return known
        await self.dimension()
        vector = self._normal(
            await self._guarded(lambda: np.asarray(self.embedder.embed_query(text), np.float32))
        )
        self._queries[key] = vector
        while len(self._queries) > _QUERIES:
            self._queries.popitem(last=False)
        return vector

    async def _embed(self, texts: Sequence[str]) -> Matrix:
        import numpy as np

        matrix: Matrix = await self._guarded(
            lambda: np.asarray(self.embedder.embed_documents(texts), np.float32)
        )
        if matrix.ndim != 2 or matrix.shape[0] != len(texts):
            raise EmbeddingError(
                f"{self.embedder.model_id!r} returned shape {matrix.shape} for {len(texts)} texts"
            )
        return matrix

    async def _guarded(self, call: Callable[[], Any]) -> Any:
        lock = self._one_at_a_time
        await lock.acquire()
        work = asyncio.ensure_future(asyncio.to_thread(call))
        # by the thread, not by us: a cancelled call leaves the embedder in the middle of a text
        work.add_done_callback(lambda _: lock.release())
        try:
            return await asyncio.shield(work)
        except (EmbeddingError, ImportError):
            raise
        except Exception as exc:
            raise EmbeddingError(
                f"{self.embedder.model_id!r} failed: {type(exc).__name__}"
            ) from exc

    def _normal(self, row: Vector) -> Vector:
        import numpy as np

        dimension = self.embedder.dimension
        if row.shape == (dimension,) and not row.any():
            # nothing to say: orthogonal to nearly everything, and still a valid vector
            row = np.zeros(dimension, np.float32)
            row[0] = 1.0
        return unit(row, dimension, f"a vector of {self.embedder.model_id!r}")


def _key(prefix: bytes, text: str) -> bytes:
    return hashlib.sha256(prefix + text.encode("utf-8", "replace")).digest()
