"""A TCP proxy that loses, delays and cuts what passes through it."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, Literal, Self

Mode = Literal["pass", "blackhole", "drop_replies", "drop_requests", "refuse"]


class Proxy:
    """Stands before a server on 127.0.0.1, in a thread of its own.

    ``mode`` says what happens to bytes from now on, on connections that are open too: ``pass``
    forwards; ``blackhole`` swallows both ways; ``drop_requests`` keeps what clients send from the
    server; ``drop_replies`` lets the server work and keeps its answers from the clients;
    ``refuse`` closes new connections at once. ``delay`` seconds pass before each reply. ``cut``
    resets every open connection.
    """

    def __init__(self, target: int) -> None:
        """Stand before port ``target``."""
        self.mode: Mode = "pass"
        self.delay = 0.0
        self.port = 0
        self.requests = 0
        """How many chunks clients have sent."""
        self.accepted = 0
        """How many connections were opened."""
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        """Start to listen."""
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        self._do(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Reset every open connection."""
        self._do(self._cut())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _shut(self) -> None:
        self.mode = "refuse"
        assert self._server is not None
        # asyncio leaves a connection open that it accepted just before its server was closed, and
        # we do not know those that have not come to `_meet` yet: no more of them, then the others
        for listening in self._server.sockets:
            self._loop.remove_reader(listening.fileno())
        await self._cut()
        for task in self._tasks:
            task.cancel()
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(tasks)
        self._server.close()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self.mode == "refuse":
            writer.transport.abort()
            return
        try:
            await self._join(reader, writer)
        finally:
            writer.transport.abort()  # also where there is nobody behind us

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            self._open |= {writer, back}
            ways = [
                asyncio.ensure_future(self._carry(reader, back, up=True)),
                asyncio.ensure_future(self._carry(there, writer, up=False)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                for each in (writer, back):
                    self._open.discard(each)
                    each.transport.abort()

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, up: bool
    ) -> None:
        lost = {"blackhole", "drop_requests" if up else "drop_replies"}
        while data := await source.read(65_536):
            self.requests += up
            if self.delay and not up:
                await asyncio.sleep(self.delay)
            if self.mode not in lost:
                sink.write(data)
                await sink.drain()
