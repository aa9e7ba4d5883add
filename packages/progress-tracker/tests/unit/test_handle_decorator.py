"""``@tracker.tracked``."""

import asyncio
import inspect
from typing import Any

import pytest

from progress_tracker import (
    ProgressHandle,
    ProgressTracker,
)


async def test_tracked_functions(live: ProgressTracker) -> None:
    @live.tracked(stages=["a", "b"], id=lambda n: f"job-{n}", user_id="u")
    async def work(n: int, p: ProgressHandle) -> int:
        p.stage("b")
        return n * 2

    @live.tracked
    def blocking(x: int, *, handle: "ProgressHandle") -> str:
        handle.update(50)
        return f"{x}{handle.id}"

    @live.tracked()
    def plain() -> int:
        """Say something."""
        return 7

    assert await work(4) == 8
    found = await live.get("job-4")
    assert (found.status, found.stage, found.user_id) == ("completed", "b", "u")
    assert found.kind == "test_tracked_functions.<locals>.work"
    assert blocking(1).startswith("1")
    assert await asyncio.to_thread(plain) == 7
    assert plain.__doc__ == "Say something."
    assert len(await live.list_progress(status="completed")) == 3  # type: ignore[arg-type]


async def test_the_handles_parameter_may_stand_anywhere(live: ProgressTracker) -> None:
    @live.tracked
    async def first(p: ProgressHandle, n: int) -> tuple[str, int]:
        return p.id, n

    @live.tracked
    def optional(n: int, p: ProgressHandle | None = None, *, more: int = 0) -> bool:
        return p is not None and n == 1 and more == 2

    @live.tracked
    def returns() -> ProgressHandle | None:
        return None

    assert (await first(4))[1] == 4
    assert (await first(n=4))[1] == 4
    assert optional(1, more=2)
    assert returns() is None
    assert list(inspect.signature(first).parameters) == ["n"]


def test_what_cannot_be_tracked(tracker: ProgressTracker) -> None:
    with pytest.raises(TypeError, match="generators"):

        @tracker.tracked
        def items() -> Any:
            yield 1

    with pytest.raises(TypeError, match="function"):
        tracker.tracked(id="x")  # type: ignore[call-overload]
