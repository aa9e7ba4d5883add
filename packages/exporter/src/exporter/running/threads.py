"""A job in a thread of its own: begun, watched from the loop, left behind if it hangs."""

import asyncio
import contextlib
import threading
import time

from .._common.telemetry import span
from ..engine import Produce, Produced
from ..errors import ExportError
from ..ports import Storage
from ..recipes import again_if_lost, describe
from ..sink import timed_out
from .runs import Run

GRACE = 1.0


async def made_in_thread(run: Run, storage: Storage, timeout: float, render: Produce) -> Produced:
    """Make the file of ``run`` in a thread of its own.

    Raises:
        ExportError: It was stopped, or took longer than ``timeout`` seconds; what loaders and
            formats raise is passed on.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Produced] = loop.create_future()
    thread = threading.Thread(
        target=_work,
        args=(run, storage, loop, done, render),
        name=f"export-{run.record.id}",
        daemon=True,
    )
    thread.start()
    until = time.monotonic() + timeout + GRACE
    stopped: float | None = None
    try:
        while True:
            # a thread that hangs in a user's code cannot be ended: it is left behind
            finished, _ = await asyncio.wait({done}, timeout=0.1)
            if finished:
                return done.result()
            now = time.monotonic()
            if run.control.stopped:
                stopped = stopped or now
                if now - stopped > GRACE:
                    run.control.check()
            elif now > until:
                run.control.stop(timed_out(timeout))
                raise timed_out(timeout)
    except asyncio.CancelledError:
        run.control.stop(ExportError("the service was closed", reason="interrupted"))
        raise
    finally:
        done.cancel()


def _work(
    run: Run,
    storage: Storage,
    loop: asyncio.AbstractEventLoop,
    done: "asyncio.Future[Produced]",
    render: Produce,
) -> None:
    record = run.record
    attributes = {"export.format": record.format, "export.source_type": record.source_type}
    try:
        with span(__name__, "export.render", attributes, parent=record.metadata):
            produced = again_if_lost(run.recipe, run.control, lambda: _made(run, storage, render))
    except BaseException as exc:  # noqa: BLE001  handed to the loop, which decides
        _post(loop, done, None, exc)
    else:
        _post(loop, done, produced, None)


def _made(run: Run, storage: Storage, render: Produce) -> Produced:
    record = run.record
    assert record.key is not None
    run.control.check()
    with storage.open_writer(record.key, record.content_type) as writer:
        produced = run.recipe.make(writer.write, run.control, render)
        run.control.check()
        writer.commit()
    return produced


def _post(
    loop: asyncio.AbstractEventLoop,
    done: "asyncio.Future[Produced]",
    produced: Produced | None,
    error: BaseException | None,
) -> None:
    def settle() -> None:
        if done.done():
            return
        if produced is not None:
            done.set_result(produced)
        elif error is not None:
            # a StopIteration cannot be set on a future
            wrong = isinstance(error, StopIteration)
            done.set_exception(RuntimeError(describe(error)) if wrong else error)

    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(settle)
