"""Whether many who miss one key make one call."""

import asyncio

from ..service import CacheProvider


async def assert_single_flight(
    cache: CacheProvider, *, callers: int = 100, key: str = "single-flight"
) -> None:
    """Fail unless ``callers`` tasks that miss one key at once make one call of the factory."""
    calls = 0

    async def factory() -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.01)
        return calls

    results = await asyncio.gather(*(cache.get_or_set(key, factory) for _ in range(callers)))
    assert calls == 1, f"{calls} calls of the factory for {callers} callers"
    assert results == [1] * callers
