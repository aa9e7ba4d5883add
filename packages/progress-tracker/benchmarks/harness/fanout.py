"""How long one update takes to the last of many sockets, and what a socket costs the server.

The clients are bare sockets of one process that look for a mark in what arrives: they cost little,
for they share the two cores with the server.
"""

import asyncio
import base64
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from .results import Results

FOLDER = Path(__file__).parents[1]
ROUNDS = 10
_WIDTH = 100
_PATIENCE = 120.0


@dataclass(frozen=True)
class Server:
    """A contender: its module, its path, and what a client says once it is let in."""

    title: str
    module: str
    path: str = "/ws/progress/x?user={n}"
    opening: bytes | None = None
    ready: bytes = b"x"
    ours: bool = False
    floor: bool = False


SERVERS = {
    "progress-tracker": Server("progress-tracker", "on_progress_tracker", ready=b'"x"', ours=True),
    "starlette": Server("bare Starlette", "on_starlette", ready=b"hello", floor=True),
    "python-socketio": Server(
        "python-socketio",
        "on_socketio",
        "/socket.io/?EIO=4&transport=websocket",
        b"40",
        ready=b"hello",
    ),
    "channels": Server("Channels", "on_channels", ready=b"hello"),
}


@dataclass
class Crowd:
    """All clients: how many have seen ``mark``."""

    size: int
    mark: bytes = b""
    seen: int = 0
    lost: int = 0
    all: asyncio.Event = field(default_factory=asyncio.Event)

    def expect(self, mark: bytes) -> None:
        """Begin to look for another mark."""
        self.mark, self.seen = mark, 0
        self.all.clear()


class Client(asyncio.Protocol):
    """A WebSocket that answers nothing."""

    def __init__(self, crowd: Crowd, server: Server, n: int) -> None:
        """Belong to ``crowd``."""
        self._crowd, self._server, self._n = crowd, server, n
        self._found = b""
        self._rest = b""
        self._open = False
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        path = self._server.path.format(n=self._n)
        transport.write(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Look for the mark; one is seen once."""
        crowd = self._crowd
        data = self._rest + data
        if not self._open and b"\r\n\r\n" in data:
            self._open = True
            if not data.startswith(b"HTTP/1.1 101"):
                self.ready.set_exception(ConnectionError(data[:100].decode(errors="replace")))
            elif self._server.opening is not None:
                self._transport.write(_frame(self._server.opening))
        if not self.ready.done() and self._open:
            if self._server.ready in data.partition(b"\r\n\r\n")[2] or (
                self._server.ready in data and not data.startswith(b"HTTP")
            ):
                self.ready.set_result(None)
                data = b""
        elif crowd.mark and self._found != crowd.mark and crowd.mark in data:
            self._found = crowd.mark
            crowd.seen += 1
            if crowd.seen == crowd.size:
                crowd.all.set()
        self._rest = data[-len(crowd.mark) :] if self.ready.done() else data

    def connection_lost(self, _exc: Exception | None) -> None:
        """Note that the server hung up."""
        self._crowd.lost += 1
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("the server hung up"))

    def close(self) -> None:
        """Leave."""
        self._transport.abort()


def _frame(data: bytes) -> bytes:
    """Return a masked text frame; the mask of zeros changes nothing."""
    return bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data


def _memory(pid: int) -> float:
    """Return the resident KiB of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return float(line.split()[1])
    return 0.0


@contextlib.asynccontextmanager
async def _running(server: Server) -> AsyncIterator[tuple[int, int]]:
    """Give port and process of a server."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    words = ["-m", "uvicorn", f"servers.{server.module}:app", "--port", str(port)]
    quiet = ["--log-level", "error", "--ws-per-message-deflate", "false"]
    command = [sys.executable, *words, *quiet]
    process = await asyncio.to_thread(subprocess.Popen, command, cwd=FOLDER)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                await asyncio.sleep(0.05)
        yield port, process.pid
    finally:
        process.kill()
        process.wait()


async def _post(port: int, mark: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"POST /go?mark={mark} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    line = await reader.readline()
    writer.close()
    assert b"200" in line, line


async def run_one(server: Server, size: int) -> tuple[list[float], float]:
    """Return the milliseconds of each round, and the KiB that a client costs."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop = asyncio.get_running_loop()
    async with _running(server) as (port, pid):
        crowd, clients = Crowd(size), list[Client]()
        before = _memory(pid)
        async with asyncio.timeout(_PATIENCE):
            for start in range(0, size, _WIDTH):
                made = [
                    (
                        await loop.create_connection(
                            lambda n=n: Client(crowd, server, n), "127.0.0.1", port
                        )
                    )[1]
                    for n in range(start, min(size, start + _WIDTH))
                ]
                clients += made
                await asyncio.gather(*(each.ready for each in made))
            each = (_memory(pid) - before) / size
            spent: list[float] = []
            for turn in range(ROUNDS + 1):
                mark = f"mark-{turn:05}-{os.urandom(4).hex()}"
                crowd.expect(mark.encode())
                begun = time.perf_counter()
                posted = asyncio.create_task(_post(port, mark))
                await crowd.all.wait()
                spent.append((time.perf_counter() - begun) * 1e3)
                await posted
                await asyncio.sleep(0.05)  # the server comes to rest
        assert crowd.lost == 0, f"{crowd.lost} clients were lost"
        for client in clients:
            client.close()
    return spent[1:], each  # the first one warms up


async def run(results: Results, size: int, repetitions: int) -> None:
    """Measure everybody in turn; one that cannot is told."""
    fan = results.measure(f"fan-out-{size}", f"one update to {size:,} sockets", "ms")
    room = results.measure(f"memory-{size}", f"a socket among {size:,}, in the server", "KiB")
    for _ in range(repetitions):
        for name, server in SERVERS.items():
            who = server.title if server.ours or server.floor else f"{name} {version(name)}"
            try:
                spent, each = await run_one(server, size)
            except (AssertionError, OSError, TimeoutError) as exc:
                print(f"{who}, {size:,} sockets: {type(exc).__name__} {exc}")
                continue
            worst = max(spent)
            fan.add(
                who,
                statistics.median(spent),
                ours=server.ours,
                floor=server.floor,
                told=f"slowest of the last {ROUNDS}: {worst:.0f} ms",
            )
            room.add(who, each, ours=server.ours, floor=server.floor)
