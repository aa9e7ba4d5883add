"""The kept connections of a channel, and what is read of an answer."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

from ..._common.extras import require
from ..._common.transports import abandon

_MOST = 50
"""How many names have connections that are kept."""
_LARGEST = 1 << 16
"""Bytes of an answer that are read: no provider's is longer, a receiver's may have no end."""
_PATIENCE = 5.0
"""Seconds for the body of an answer, whose head has said what became of the message."""


class Clients:
    """One httpx client for each name that certificates are checked against.

    Connections are kept by address. Where requests go to an address that was looked up before, the
    one that is open was checked against the name of the request before, which may be another's.
    """

    def __init__(self, timeout: float) -> None:
        """Give each step of a request ``timeout`` seconds; the first request connects."""
        self._timeout = timeout
        self._known: dict[str, Any] = {}
        self._busy = Counter[str]()
        self._context: Any = None

    @contextlib.asynccontextmanager
    async def client(self, name: str) -> AsyncGenerator[Any, None]:
        """Give the client of a name, which is kept open."""
        found = self._known.pop(name, None) or self._made()
        self._known[name] = found  # at the end: it was used last
        self._busy[name] += 1
        try:
            yield found
        finally:
            self._busy[name] -= 1
            if not self._busy[name]:
                del self._busy[name]
            if len(self._known) > _MOST:
                await self._forget_one()

    def _made(self) -> Any:
        httpx = require("httpx", dist="notify", extra="http")
        self._context = self._context or httpx.create_ssl_context()
        return httpx.AsyncClient(
            timeout=self._timeout,
            follow_redirects=False,
            verify=self._context,
            # nothing is packed: a few bytes would unpack to gigabytes
            headers={"Accept-Encoding": "identity"},
            # what one receiver sets would be sent to others at the same address
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )

    async def _forget_one(self) -> None:
        for name in self._known:
            if name not in self._busy:
                await _close(self._known.pop(name))
                return

    async def aclose(self) -> None:
        """Disconnect; a later request connects again."""
        known, self._known = self._known, {}
        for each in known.values():
            await _close(each)

    def detach(self) -> None:
        """Forget, without I/O, the connections of another event loop or process."""
        known, self._known = self._known, {}
        self._busy.clear()
        for each in known.values():
            _abandon(each)


async def read_some(found: Any) -> bytes:
    """Return as much of an answer's body as says anything; what is lost on the way is left out."""
    httpx = require("httpx", dist="notify", extra="http")
    held = bytearray()
    try:
        async with asyncio.timeout(_PATIENCE):
            async for part in found.aiter_raw():
                held += part
                if len(held) >= _LARGEST:
                    break
    except (httpx.TransportError, TimeoutError):
        pass  # the status is the answer
    return bytes(held[:_LARGEST])


async def _close(client: Any) -> None:
    with contextlib.suppress(Exception):  # it may be broken; it is not used again
        await client.aclose()


def _abandon(client: Any) -> None:
    # httpx has no public way to let go of connections of another event loop
    pool = getattr(client._transport, "_pool", None)  # noqa: SLF001
    for lane in getattr(pool, "connections", ()):
        stream = getattr(getattr(lane, "_connection", None), "_network_stream", None)
        stream = getattr(stream, "_stream", None)
        while (inner := getattr(stream, "transport_stream", None)) is not None:
            stream = inner  # the socket inside TLS
        if stream is not None:
            with contextlib.suppress(Exception):
                abandon(stream)
