"""Figures for Prometheus, on loopback."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable

from ..errors import ConfigurationError, JobQueueError
from ..models import QueueStats

_PATIENCE = 5.0


async def serve_metrics(stats: Callable[[], Awaitable[QueueStats]], port: int) -> asyncio.Server:
    """Answer ``GET /metrics`` on 127.0.0.1 with the queue's figures; 0 picks a free port.

    Raises:
        ConfigurationError: The port is taken.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_PATIENCE):
                head = await reader.readuntil(b"\r\n")
                found = head.startswith(b"GET /metrics")
                writer.write(await _response(stats) if found else _plain("404 Not Found", ""))
                await writer.drain()
        writer.close()

    try:
        return await asyncio.start_server(answer, "127.0.0.1", port, limit=8192)
    except OSError as exc:
        raise ConfigurationError(
            f"metrics_port {port} cannot be used: {exc.strerror}; every worker needs its own"
        ) from exc


async def _response(stats: Callable[[], Awaitable[QueueStats]]) -> bytes:
    try:
        return _plain("200 OK", prometheus(await stats()))
    except JobQueueError:
        return _plain("503 Service Unavailable", "the broker does not answer\n")


def _plain(status: str, body: str) -> bytes:
    data = body.encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close\r\n"
    return f"{head}content-length: {len(data)}\r\n\r\n".encode() + data


def prometheus(stats: QueueStats) -> str:
    """Return the figures in Prometheus' text format."""
    jobs = {"pending", "delayed", "processing", "completed", "failed", "cancelled"}
    lines = ["# TYPE jobqueue_jobs gauge"]
    values = dataclasses.asdict(stats)
    lines += [f'jobqueue_jobs{{status="{name}"}} {values[name]}' for name in sorted(jobs)]
    for name in ("workers", "oldest_pending_age", "throughput"):
        lines += [f"# TYPE jobqueue_{name} gauge", f"jobqueue_{name} {values[name] or 0}"]
    return "\n".join(lines) + "\n"
