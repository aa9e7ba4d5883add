"""A page for one person on this machine.

Whoever has the address that a command prints is let in, once; from then on a cookie does. Any
other name of this machine than the ones expected is refused, so that a page of another site, whose
name somebody makes lead here (DNS rebinding), gets nothing.
"""

import contextlib
import hmac
import secrets
import socket
from collections.abc import Callable, Generator, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from ..errors import ConfigurationError
from .extras import require
from .web_page import SAFE

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.types import ASGIApp, Receive, Scope, Send

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_USED = b"This address was used before. Start the command again, and open the new one."
_STRANGE = b"This name of the machine is not expected here: see --allowed-host."


class Pass:
    """The token that lets in once, and the cookie by which a browser is known from then on."""

    def __init__(self, cookie: str) -> None:
        """Draw both; ``cookie`` is its name."""
        self._cookie = cookie
        self.token, self._session = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self._used = False

    def lets_in(self, connection: "HTTPConnection") -> bool:
        """Whether this is the one user there is."""
        return self.knows(connection.headers.get("cookie", ""))

    def knows(self, cookies: str) -> bool:
        """Whether the header ``Cookie`` holds ours."""
        try:
            found = SimpleCookie(cookies).get(self._cookie)
        except CookieError:
            return False
        return found is not None and _same(found.value, self._session)

    def admit(self, token: str) -> str | None:
        """Return the cookie to set, in exchange for the token; None if it is wrong or used."""
        if self._used or not _same(token, self.token):
            return None
        self._used = True
        return f"{self._cookie}={self._session}; Path=/; HttpOnly; SameSite=Strict"


def _same(given: str, ours: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), ours.encode())


class Gate:
    """Refuses strange names of the machine, and takes tokens."""

    def __init__(self, app: "ASGIApp", hosts: Sequence[str], entry: Pass) -> None:
        """Stand before ``app``; ``hosts`` are the names by which it may be called."""
        self._app, self._hosts, self._entry = app, {each.lower() for each in hosts}, entry

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer what has a token or a strange name; the rest is the app's."""
        if scope["type"] != "http":
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if _host_of(headers.get(b"host", "")) not in self._hosts:
            await _say(send, 403, _STRANGE)
            return
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] != "/" or not token:
            await self._app(scope, receive, send)
        elif self._entry.knows(headers.get(b"cookie", "")):
            await _say(send, 303, location="./")
        elif (cookie := self._entry.admit(token)) is not None:
            await _say(send, 303, location="./", cookie=cookie)
        else:
            await _say(send, 403, _USED)


async def _say(
    send: "Send", status: int, text: bytes = b"", *, location: str = "", cookie: str = ""
) -> None:
    headers = {**SAFE, "content-type": "text/plain; charset=utf-8", "cache-control": "no-store"}
    headers |= {"location": location} if location else {}
    headers |= {"set-cookie": cookie} if cookie else {}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": text})


def _host_of(header: str) -> str:
    """Return the name in a Host header, without the port."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


class LocalServer:
    """A server of an application on this machine.

    Attributes:
        entry: The token and the cookie; the application asks it who comes.
    """

    def __init__(self, host: str, port: int, *, extra: str) -> None:
        """Take the port; nothing is served yet.

        Args:
            host: The address to listen on.
            port: 0 picks a free one.
            extra: What brings uvicorn.

        Raises:
            ConfigurationError: The port is taken, or ``host`` is no address of ours.
            MissingExtraError: uvicorn is not installed.
        """
        name = (__package__ or "").partition(".")[0]
        self._uvicorn: Any = require("uvicorn", dist=name.replace("_", "-"), extra=extra)
        self._host, self._socket = host, _bound(host, port)
        self._port = self._socket.getsockname()[1]
        # cookies do not tell ports apart: each server has one of its own name
        self.entry = Pass(f"{name}_{self._port}")

    @property
    def url(self) -> str:
        """The address that lets in once."""
        name = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{name}:{self._port}/?token={self.entry.token}"

    async def serve(
        self,
        app: "ASGIApp",
        hosts: Sequence[str],
        stopping: Callable[[Callable[[], None]], None],
        end: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve ``app`` until stopped.

        Args:
            app: The application.
            hosts: Names by which browsers may call it, beside those of this machine.
            stopping: Is told how to stop it.
            end: Ends what would hold up a server that stops.
        """
        gate = Gate(app, (*_LOOPBACK, self._host, *hosts), self.entry)
        config = self._uvicorn.Config(
            gate, log_level="warning", timeout_graceful_shutdown=2, lifespan="off"
        )
        server: Any = quiet(self._uvicorn)(config)

        def stop() -> None:
            end()
            server.should_exit = True

        stopping(stop)
        await server.serve(sockets=[self._socket])


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as exc:
        raise ConfigurationError(f"cannot listen on {host} port {port}: {exc.strerror}") from exc


def quiet(uvicorn: Any) -> Any:
    """Return a server of uvicorn that leaves signals alone."""

    class Server(uvicorn.Server):  # type: ignore[misc]  # the library is not there for the checker
        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None, None, None]:
            """Leave signals to the command."""
            yield

    return Server
