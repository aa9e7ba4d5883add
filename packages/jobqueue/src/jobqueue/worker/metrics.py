"""Figures for Prometheus, on loopback."""

import asyncio
import contextlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import ConfigurationError, JobQueueError
from .exposition import Exposition, add_queues, add_worker

if TYPE_CHECKING:
    from ..service import JobQueue
    from .worker import Worker

_PATIENCE = 5.0
_BROKER_PATIENCE = 3.0
_MOST_QUEUES = 100
_ASKED = re.compile(rb"(GET|HEAD) /metrics(\?\S*)? HTTP/1\.[01]\r\n")


async def serve_metrics(
    queue: "JobQueue", worker: "Callable[[], Worker | None]", port: int
) -> asyncio.Server:
    """Answer ``GET /metrics`` on 127.0.0.1; port 0 picks a free one.

    Args:
        queue: Whose figures.
        worker: Returns the worker whose figures they are too; None if there is none.
        port: Where.

    Raises:
        ConfigurationError: The port is taken.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            async with asyncio.timeout(_PATIENCE):
                # to the end of the request: closing over unread bytes would reset the connection
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await _answered(head, queue, worker()))
                await writer.drain()
        writer.close()

    try:
        return await asyncio.start_server(answer, "127.0.0.1", port, limit=16_384)
    except OSError as exc:
        raise ConfigurationError(
            f"metrics_port {port} cannot be used: {exc.strerror}; every worker needs its own"
        ) from exc


async def _answered(head: bytes, queue: "JobQueue", worker: "Worker | None") -> bytes:
    found = _ASKED.match(head)
    if found is None:
        return _response("404 Not Found", "only /metrics is here\n", body=True)
    return _response("200 OK", await render(queue, worker), body=found[1] == b"GET")


def _response(status: str, text: str, *, body: bool) -> bytes:
    data = text.encode()
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"
        f"cache-control: no-store\r\nconnection: close\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + (data if body else b"")


async def render(queue: "JobQueue", worker: "Worker | None") -> str:
    """Return the figures as text; those of the worker also while the broker is away."""
    page = Exposition()
    up = 1
    try:
        async with asyncio.timeout(_BROKER_PATIENCE):
            # the first hundred by name: what people do not name they cannot watch either
            names = sorted(await queue.get_queues() or ["default"])[:_MOST_QUEUES]
            stats = {name: await queue.get_stats(name) for name in names}
            workers = max((each.workers for each in stats.values()), default=0)
        add_queues(page, stats, workers)
    except (JobQueueError, TimeoutError):
        up = 0
    page.metric("jobqueue_up", "gauge", "Whether the broker answers.", [({}, up)])
    if worker is not None:
        add_worker(page, worker.counters, worker.in_flight)
    return str(page)
