"""Servers in processes of their own, and clients that cost little.

The clients are bare sockets of this process that look for a mark in what arrives: they cost little,
for they share the two cores with the server.
"""

import asyncio
import base64
import contextlib
import os
import resource
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .programs import free_port, program

FOLDER = Path(__file__).parents[2]
WIDTH = 100
PATIENCE = 120.0


@dataclass(frozen=True)
class Server:
    """A contender.

    Attributes:
        title: Its name, that of its distribution where its version is told.
        module: Where its application ``app`` is.
        path: Of its sockets; ``{n}`` is the number of the client.
        opening: What a client says once it is let in.
        ready: What a client is told when it will hear all that follows.
        ours: Whether it is this package.
        floor: Whether it is no contender but what nothing can be faster than.
    """

    title: str
    module: str
    path: str
    opening: bytes | None = None
    ready: bytes = b"hello"
    ours: bool = False
    floor: bool = False


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
    """A WebSocket that answers nothing; ``keeps`` all that it hears, or just the end."""

    def __init__(self, crowd: Crowd, server: Server, path: str, *, keeps: bool = False) -> None:
        """Belong to ``crowd``."""
        self._crowd, self._server, self._path, self._keeps = crowd, server, path, keeps
        self._found = b""
        self._rest = b""
        self._open = False
        self.heard = bytearray()
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Look for the mark; one is seen once."""
        crowd = self._crowd
        if self._keeps:
            self.heard += data
        data = self._rest + data
        if not self._open and b"\r\n\r\n" in data:
            self._open = True
            if not data.startswith(b"HTTP/1.1 101"):
                self.ready.set_exception(ConnectionError(data[:100].decode(errors="replace")))
            elif self._server.opening is not None:
                self._transport.write(_frame(self._server.opening))
        if not self.ready.done() and self._open and self._server.ready in data:
            self.ready.set_result(None)
        if crowd.mark and self._found != crowd.mark and crowd.mark in data:
            self._found = crowd.mark
            crowd.seen += 1
            if crowd.seen == crowd.size:
                crowd.all.set()
        # a mark may come in two parts; a client that is not let in yet needs all
        self._rest = data[-64:] if self.ready.done() else data

    def connection_lost(self, _exc: Exception | None) -> None:
        """Note that the server hung up."""
        self._crowd.lost += 1
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("the server hung up"))

    def close(self) -> None:
        """Leave."""
        self.ready.cancel()
        self._transport.abort()


def _frame(data: bytes) -> bytes:
    """Return a masked text frame; the mask of zeros changes nothing."""
    return bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data


def memory_of(pid: int) -> float:
    """Return the resident KiB of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return float(line.split()[1])
    return 0.0


@contextlib.contextmanager
def running(
    server: Server, environment: Mapping[str, str] | None = None, *, small: int = 0
) -> Iterator[tuple[int, int]]:
    """Give port and process of a server; ``small`` is the size of its send buffers in bytes."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    port = free_port()
    words = ("-m", "harness._common.serve", server.module, str(port), str(small))
    with program(*words, port=port, folder=FOLDER, environment=environment) as pid:
        yield port, pid


async def enter(
    server: Server, crowd: Crowd, port: int, count: int, path: Callable[[int], str]
) -> list[Client]:
    """Let ``count`` clients in, some at a time."""
    loop, clients = asyncio.get_running_loop(), list[Client]()
    for start in range(0, count, WIDTH):
        made = [
            (
                await loop.create_connection(
                    lambda n=n: Client(crowd, server, path(n)), "127.0.0.1", port
                )
            )[1]
            for n in range(start, min(count, start + WIDTH))
        ]
        clients += made
        await asyncio.gather(*(each.ready for each in made))
    return clients


async def post(port: int, path: str) -> bytes:
    """Ask for ``path``; return the answer's body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: x\r\n"
        "Connection: close\r\nContent-Length: 0\r\n\r\n".encode()
    )
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
    return answer.partition(b"\r\n\r\n")[2]
