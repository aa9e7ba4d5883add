"""``subscribe``: callbacks that get every new state."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from .._common.home import borrow
from ..errors import BackendError, ProgressNotFound
from ..models import Progress

Callback = Callable[[Progress], Any]
logger = logging.getLogger(__name__)
# tasks are kept alive only by references
_running: set["asyncio.Task[None]"] = set()


def subscribe(
    id: str, states: AsyncGenerator[Progress, None], callback: Callback
) -> Callable[[], None]:
    """Feed ``callback`` on the running loop; return what ends it.

    Raises:
        RuntimeError: No event loop runs here.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(_deliver(id, states, callback), name=f"progress.subscribe {id}")
    _running.add(task)
    task.add_done_callback(_running.discard)

    def unsubscribe() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)

    return unsubscribe


async def _deliver(id: str, states: AsyncGenerator[Progress, None], callback: Callback) -> None:
    call: Callable[[Progress], Awaitable[Any]] = borrow(callback)
    failed = False
    try:
        async with contextlib.aclosing(states):
            async for state in states:
                try:
                    await call(state)
                except Exception:
                    if not failed:
                        logger.exception("progress.callback_failed", extra={"progress_id": id})
                    failed = True
    except ProgressNotFound:
        logger.warning("progress.subscription_ended", extra={"progress_id": id})
    except BackendError as exc:
        logger.warning("progress.subscription_failed", extra={"progress_id": id}, exc_info=exc)
    except Exception:
        logger.exception("progress.subscription_failed", extra={"progress_id": id})
