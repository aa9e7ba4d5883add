"""Work whose time goes with the length of texts, without holding up the event loop."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")
LONG_TEXT: Final = 50_000
"""Characters from which on work is worth a thread."""


async def apart(work: Callable[[], T], size: int) -> T:
    """Return what ``work`` returns; done in a thread where ``size`` characters take their time."""
    return await asyncio.to_thread(work) if size > LONG_TEXT else work()
