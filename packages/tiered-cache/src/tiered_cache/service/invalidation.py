"""Invalidation: by key, by tag, by pattern, everything; in every process."""

from collections.abc import Sequence

from ..engine import Engine
from ..errors import ConfigurationError
from ..keys import check_keys, check_pattern, glob_matches
from ..models import CacheOptions, Invalidation
from ..ports import ALL
from .base import Base


class Invalidating(Base):
    """``delete``, ``delete_many``, ``invalidate``, ``clear``, ``delete_pattern``."""

    async def delete(self, key: str) -> Invalidation:
        """Drop a value in every process."""
        return await self.delete_many([key])

    async def delete_many(self, keys: Sequence[str]) -> Invalidation:
        """Drop values in every process, in one round trip."""
        engine = await self.opened()
        names = check_keys(keys)
        engine.drop(names)
        if engine.shared is None or not names:
            return Invalidation()
        done = await engine.shared.delete(names)
        engine.drop(names)  # again: who looked meanwhile may have found them
        return self._confirmed(done=done)

    async def invalidate(self, tags: Sequence[str], *, soft: bool = False) -> Invalidation:
        """Make every value with one of ``tags`` a miss, in every process.

        In this process it holds at once, also for values whose factory runs right now.

        Args:
            tags: Names; unknown ones do no harm.
            soft: The values may still stand in for a failing factory.

        Returns:
            Whether the shared level has it. If not, it waits and is made up for.

        Raises:
            BackendError: It could not be confirmed and the settings say ``strict``.
            ConfigurationError: ``tags`` are none.
        """
        if tags is None:  # pyright: ignore[reportUnnecessaryComparison]  a caller's mistake
            raise ConfigurationError("tags must be a list of non-empty str, not None")
        names = list(CacheOptions(tags=tags).tags or ())
        engine = await self.opened()
        return await self._invalidate(engine, names, soft=soft)

    async def _invalidate(self, engine: Engine, tags: Sequence[str], *, soft: bool) -> Invalidation:
        engine.outdate(tags, soft=soft)
        if engine.shared is None or not tags:
            return Invalidation()
        made = None
        try:
            made = await engine.shared.bump(tags, soft=soft)
        finally:
            engine.tags.settle(tags, made or {})
        return self._confirmed(done=made is not None and not engine.shared.has_pending)

    async def clear(self) -> Invalidation:
        """Make every value a miss, in every process; costs the same however many there are."""
        engine = await self.opened()
        engine.drop_all()
        return await self._invalidate(engine, [ALL], soft=False)

    async def delete_pattern(self, pattern: str) -> int:
        r"""Drop the values whose keys match a glob: ``*``, ``?``, ``[a-c]``, ``[^abc]``, ``\*``.

        A key of more than 250 characters is known to L2 by its first 100 only.

        In other processes only L2 and, by a cleared L1, what it holds; factories that run there
        may still store a value. Use tags where that matters.

        Returns:
            How many values L2 dropped; of L1 where there is no L2.

        Raises:
            ConfigurationError: The pattern is empty, or a set in it is not closed.
            UnsupportedOperationError: L2 cannot list its keys.
        """
        check_pattern(pattern)
        engine = await self.opened()
        matches = lambda key: glob_matches(pattern, key)  # noqa: E731  two uses
        dropped = engine.drop_matching(matches)
        if engine.shared is None:
            return dropped
        count = await engine.shared.delete_pattern(pattern)
        engine.drop_matching(matches)  # again: who looked meanwhile may have found them
        if count is None:
            await self._invalidate(engine, [ALL], soft=True)
        return count or 0
