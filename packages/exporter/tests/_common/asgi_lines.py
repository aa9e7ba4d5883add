"""Connections to an ASGI application without a server: read piece by piece, or not at all.

``flows`` unset stands for a peer that takes nothing any more.
"""

import asyncio
import json
from typing import Any
from urllib.parse import quote

_PATIENCE = 10.0


class Line:
    """A WebSocket."""

    def __init__(
        self, app: Any, path: str, user: str | None = "anna", query: str = "", **headers: str
    ) -> None:
        self.sent: list[Any] = []
        self.accepted: Any = None
        self.refused: int | None = None
        self.closed: int | None = None
        self.flows = asyncio.Event()
        self.flows.set()
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        self._outbox: asyncio.Queue[Any] = asyncio.Queue()
        self._inbox.put_nowait({"type": "websocket.connect"})
        scope = _scope(path, user, query, headers) | {
            "type": "websocket", "asgi": {"version": "3.0", "spec_version": "2.4"},
            "scheme": "ws", "subprotocols": [], "extensions": {"websocket.http.response": {}},
        }  # fmt: skip
        self.task = asyncio.create_task(app(scope, self._inbox.get, self._send))

    async def _send(self, message: Any) -> None:
        await self.flows.wait()
        kind = message["type"]
        if kind == "websocket.accept":
            self.accepted = message
        elif kind == "websocket.http.response.start":
            self.refused = message["status"]
        elif kind == "websocket.close":
            self.closed = message.get("code", 1000)
            self._inbox.put_nowait({"type": "websocket.disconnect", "code": self.closed})
        elif kind == "websocket.http.response.body":
            self._outbox.put_nowait(json.loads(message["body"]))
        else:
            self.sent.append(message)
            self._outbox.put_nowait(json.loads(message["text"]))

    async def hear(self) -> Any:
        async with asyncio.timeout(_PATIENCE):
            return await self._outbox.get()

    @property
    def is_silent(self) -> bool:
        return self._outbox.empty()

    def say(self, **message: Any) -> None:
        self.say_text(json.dumps(message))

    def say_text(self, text: str) -> None:
        self._inbox.put_nowait({"type": "websocket.receive", "text": text})

    async def end(self) -> None:
        await _over(self.task)

    async def close(self) -> None:
        self._inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await self.end()


class Stream:
    """A request whose answer is read piece by piece."""

    def __init__(
        self, app: Any, path: str, user: str | None = "anna", query: str = "", **headers: str
    ) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.flows = asyncio.Event()
        self.flows.set()
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._gone = asyncio.Event()
        scope = _scope(path, user, query, headers) | {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "scheme": "http",
            "method": "GET",
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
        async with asyncio.timeout(_PATIENCE):
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
        await _over(self.task)

    async def close(self) -> None:
        self._gone.set()
        await self.end()


def _scope(path: str, user: str | None, query: str, headers: dict[str, str]) -> dict[str, Any]:
    named = {"host": "host", **({"x-user": user} if user else {}), **headers}
    return {
        "path": path, "raw_path": quote(path).encode(), "query_string": query.encode(),
        "root_path": "", "http_version": "1.1", "server": ("host", 80), "client": ("c", 1),
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in named.items()],
    }  # fmt: skip


async def _over(task: "asyncio.Task[Any]") -> None:
    async with asyncio.timeout(_PATIENCE):
        await asyncio.wait([task])
