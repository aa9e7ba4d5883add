"""Vectors that were made before: the last ones in memory, the rest in a cache of the user's."""

import inspect
import logging
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from .ports import EmbeddingCache, Vector

logger = logging.getLogger(__name__)


class Remembered:
    """Vectors by the hash of model, dimension and text. A cache that fails costs an embedding."""

    def __init__(self, cache: EmbeddingCache | None, most: int) -> None:
        """Keep the last ``most`` in memory, in front of ``cache``."""
        self._cache, self._most = cache, most
        self._known: OrderedDict[bytes, Vector] = OrderedDict()

    async def get(self, keys: Sequence[bytes], dimension: int) -> dict[bytes, Vector]:
        """Return those that are known."""
        found = {key: self._known[key] for key in keys if key in self._known}
        for key in found:
            self._known.move_to_end(key)
        if self._cache is not None and (missing := [key for key in keys if key not in found]):
            raws = await self._ask(missing)
            read = {key: _vector(raw, dimension) for key, raw in raws.items()}
            fresh = {key: vector for key, vector in read.items() if vector is not None}
            self._keep(fresh)
            found |= fresh
        return found

    async def put(self, vectors: Mapping[bytes, Vector]) -> None:
        """Remember vectors."""
        self._keep(vectors)
        if self._cache is not None:
            await self._tell({key.hex(): _raw(vector) for key, vector in vectors.items()})

    def _keep(self, vectors: Mapping[bytes, Vector]) -> None:
        self._known |= vectors
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    async def _ask(self, keys: Sequence[bytes]) -> dict[bytes, Any]:
        cache: Any = self._cache
        try:
            if (many := getattr(cache, "get_many", None)) is not None:
                found = await _awaited(many([key.hex() for key in keys]))
                return {key: found[key.hex()] for key in keys if found.get(key.hex()) is not None}
            pairs = [(key, await _awaited(cache.get(key.hex()))) for key in keys]
            return {key: raw for key, raw in pairs if raw is not None}
        except Exception:
            logger.warning("semsearch.embedding_cache_failed", exc_info=True)
            return {}

    async def _tell(self, raws: Mapping[str, bytes]) -> None:
        cache: Any = self._cache
        try:
            if (many := getattr(cache, "set_many", None)) is not None:
                await _awaited(many(raws))
                return
            for key, raw in raws.items():
                await _awaited(cache.set(key, raw))
        except Exception:
            logger.warning("semsearch.embedding_cache_failed", exc_info=True)


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _raw(vector: Vector) -> bytes:
    data = vector.astype("<f4").tobytes()
    return zlib.crc32(data).to_bytes(4, "little") + data


def _vector(raw: Any, dimension: int) -> "Vector | None":
    """Return the vector in what a cache gave, None if it is none of ours."""
    import numpy as np

    if not isinstance(raw, bytes | bytearray | memoryview):
        return None
    data = bytes(raw)
    body = data[4:]
    if len(body) != 4 * dimension or zlib.crc32(body).to_bytes(4, "little") != data[:4]:
        return None
    vector: Vector = np.frombuffer(body, "<f4").astype(np.float32)
    return vector if np.isfinite(vector).all() and vector.any() else None
