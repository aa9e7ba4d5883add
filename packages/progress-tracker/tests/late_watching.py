"""Watchers that come late, and what must be true of what they saw."""

import asyncio
import random
from collections.abc import Sequence

from progress_tracker import BackendError, Progress, ProgressTracker


async def watch_to_the_end(tracker: ProgressTracker, id: str, seen: list[Progress]) -> None:
    """Watch to the end of an epoch, again from where it broke off as a client does."""
    while not (seen and seen[-1].is_final):
        since = seen[-1].position if seen else None
        try:
            async for state in tracker.watch(id, since):
                seen.append(state)  # noqa: PERF401  what was seen before an error stays
        except BackendError:
            # the store could not be reached when the watch began
            await asyncio.sleep(0.01)


def check(seen: Sequence[Progress], last: Progress) -> None:
    """Rising, never twice, exactly one end, and the newest state."""
    positions = [each.position for each in seen]
    assert positions == sorted(set(positions)), "rising, never twice"
    assert [each.is_final for each in seen].count(True) == 1
    assert seen[-1].position == last.position, "the newest state arrived"


async def work(tracker: ProgressTracker, id: str, rng: random.Random) -> None:
    """Count something, in irregular steps, to the end."""
    for _ in range(rng.randint(5, 25)):
        await tracker.advance(id)
        await asyncio.sleep(rng.uniform(0, 0.004))
    await tracker.complete(id)
