"""What fails for one operation alone: it waits, and the others go on."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..errors import BackendError, ProgressError
from ..rules import Rule
from ..storing.operations import Operations

T = TypeVar("T")
logger = logging.getLogger(__name__)
APART = 5.0
"""Seconds until what failed by itself is tried again."""


async def each_or_halves(
    items: Sequence[T],
    call: Callable[[Sequence[T]], Awaitable[None]],
    failed: Callable[[T, Exception], None],
) -> None:
    """Await ``call`` for all ``items`` together; where that fails for good, say for which of them.

    Raises:
        BackendError: The store is away: all of it may be asked again.
    """
    if not items:
        return
    try:
        await call(items)
    except Exception as exc:
        if isinstance(exc, BackendError) and exc.retryable:
            raise
        if len(items) == 1:
            failed(items[0], exc)
            return
        half = len(items) // 2
        await each_or_halves(items[:half], call, failed)
        await each_or_halves(items[half:], call, failed)


@dataclass(slots=True)
class _Ending:
    rule: Rule
    token: str
    due_at: float = 0.0


class Endings:
    """How operations ended whose store did not take it: written when it does."""

    def __init__(self) -> None:
        """Know of none."""
        self._waiting: dict[str, _Ending] = {}

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def keep(self, id: str, rule: Rule, token: str) -> None:
        """Write ``rule`` as the write ``token`` later."""
        self._waiting[id] = _Ending(rule, token)

    async def write(self, operations: Operations) -> None:
        """Write those that wait.

        Raises:
            BackendError: The store is away.
        """
        now = time.monotonic()
        for id, ending in list(self._waiting.items()):
            if ending.due_at > now:
                continue
            try:
                await operations.change(id, ending.rule, token=ending.token)
            except BackendError as exc:
                if exc.retryable:
                    raise
                ending.due_at = now + APART
                continue
            except ProgressError as exc:
                logger.warning("progress.refused", extra={"progress_id": id, "reason": str(exc)})
            self._waiting.pop(id, None)

    def give_up(self) -> None:
        """Say of which operations the end is lost."""
        for id in self._waiting:
            logger.error("progress.end_lost", extra={"progress_id": id})
        self._waiting.clear()
