"""Requests to an ASGI application without a server: answers read piece by piece, or not at all."""

import asyncio
from typing import Any
from urllib.parse import quote


class Stream:
    """A request whose answer is read piece by piece.

    ``flows`` unset stands for a peer that takes nothing any more.
    """

    def __init__(
        self, app: Any, path: str, user: str | None = "ann", query: str = "", **headers: str
    ) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.flows = asyncio.Event()
        self.flows.set()
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._gone = asyncio.Event()
        named = {"host": "host", **({"x-user": user} if user else {}), **headers}
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "GET",
            "path": path, "raw_path": quote(path).encode(), "query_string": query.encode(),
            "root_path": "", "scheme": "http", "http_version": "1.1", "server": ("host", 80),
            "client": ("c", 1),
            "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in named.items()],
        }  # fmt: skip
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> Any:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            return
        await self.flows.wait()
        await self._parts.put(message.get("body") or b"")
        if not message.get("more_body"):
            await self._parts.put(None)
            self._gone.set()  # as the specification has it: nothing comes after the answer

    async def part(self) -> bytes | None:
        async with asyncio.timeout(10):
            return await self._parts.get()

    async def event(self) -> dict[str, str] | None:
        """The next event with data; None at the end."""
        while (part := await self.part()) is not None:
            lines = [line.partition(": ") for line in part.decode().splitlines() if line]
            fields = {name: value for name, _, value in lines}
            if "data" in fields:
                return fields
        return None

    async def end(self) -> None:
        async with asyncio.timeout(10):
            await asyncio.wait([self.task])

    async def close(self) -> None:
        self._gone.set()
        await self.end()
