"""The way to the server: one client, scripts by their hash, errors translated."""

import contextlib
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from ..._common.extras import require
from ..._common.redis import Translated, connect
from ..._common.transports import abandon
from ..._common.urls import query_of, redact, without_query
from ...errors import BackendError, ConfigurationError
from .scripts import script

T = TypeVar("T")
_PREFIX = re.compile(r"[\w.:-]{1,100}")
_OPTIONS = frozenset({"prefix", "timeout"})
_PASSING = ("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "OOM", "BUSY")


class Link:
    """One client of redis-py. Bound to the event loop of its first call until ``detach``."""

    def __init__(self, url: str, *, prefix: str, timeout: float) -> None:
        """Describe the server; the first call connects.

        Args:
            url: ``redis://…``, ``rediss://…``, ``unix://…`` or ``valkey://…``.
            prefix: What all keys begin with, in braces: they lie on one node of a cluster.
            timeout: Seconds for connecting and for each answer.

        Raises:
            ConfigurationError: The prefix is not 1 to 100 letters, digits or ``_ . : -``.
        """
        if not _PREFIX.fullmatch(prefix):
            raise ConfigurationError(
                f"prefix must be 1 to 100 letters, digits or any of _ . : -, not {prefix!r}"
            )
        # the same protocol: redis-py does not know the other name
        self._url = re.sub(r"^valkey(s?)(?=:)", lambda m: "rediss" if m[1] else "redis", url)
        self.prefix, self.timeout = f"{{{prefix}}}", timeout
        self._client: Any = None
        self.translated = Translated(url, fault, dist="notify")

    @property
    def client(self) -> Any:
        """The library's client; made, without I/O, when it is first asked for."""
        if self._client is None:
            try:
                self._client = connect(self._url, dist="notify", timeout=self.timeout)
            except (TypeError, ValueError) as exc:
                raise ConfigurationError(f"not a Redis URL: {redact(self._url)} ({exc})") from exc
        return self._client

    def key(self, *parts: str) -> str:
        """Return a key of ours."""
        return ":".join((self.prefix, *parts))

    async def run(self, name: str, *words: Any) -> Any:
        """Run a script and return its answer; ``words`` are numbers, texts, lists, None.

        Raises:
            BackendError: The server could not be reached or refused it.
        """
        made, told = script(name), msgspec.msgpack.encode([_plain(each) for each in words])
        client = self.client
        errors = require("redis.exceptions", dist="notify", extra="redis")
        with self.translated:
            try:
                return await client.evalsha(made.sha, 1, self.prefix, told)
            except errors.NoScriptError:
                return await client.eval(made.text, 1, self.prefix, told)

    async def call(self, command: str, *words: Any, **options: Any) -> Any:
        """Return what a command of the client answers, errors translated."""
        client = self.client
        with self.translated:
            return await getattr(client, command)(*words, **options)

    async def ask(self, ask: Callable[[Any], Awaitable[T]]) -> T:
        """Return what ``ask`` gets from the client, errors translated."""
        client = self.client
        with self.translated:
            return await ask(client)

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):  # it may be broken; it is not used again
                await client.aclose()

    def detach(self) -> None:
        """Let go of the connections without I/O on any event loop."""
        client, self._client = self._client, None
        if client is None:
            return
        pool = client.connection_pool
        # redis-py has no public names for what a pool holds
        for lane in [*pool._available_connections, *pool._in_use_connections]:  # noqa: SLF001
            if getattr(lane, "_writer", None) is not None and abandon(lane):
                lane._reader = lane._writer = None  # noqa: SLF001  else the library would warn of it


def fault(message: str, *, retryable: bool) -> BackendError:
    """Return our error; what a server says while it loads or moves passes by itself."""
    words = message.partition("Error: ")[2] or message
    return BackendError(message, retryable=retryable or words.startswith(_PASSING))


def parts_of(url: str, *, prefix: str) -> dict[str, Any]:
    """Return the arguments in ``redis://host:6379/0?prefix=notify&timeout=5``.

    Raises:
        ConfigurationError: The path is no database's number, or ``timeout`` no number of seconds.
    """
    options, place = query_of(url), urlsplit(url)
    if place.scheme != "unix" and not re.fullmatch(r"/?[0-9]*", place.path):
        raise ConfigurationError(f"the path of {redact(url)} must be a database's number, like /0")
    try:
        timeout = float(options.get("timeout", "5"))
    except ValueError:
        timeout = 0.0
    if not 0.05 <= timeout <= 3600:
        raise ConfigurationError(f"timeout in {redact(url)} must be 0.05 to 3600 seconds")
    return {
        "url": without_query(url, *_OPTIONS) if options else url,
        "prefix": options.get("prefix", prefix),
        "timeout": timeout,
    }


def _plain(word: Any) -> Any:
    """Return a word as scripts take it: False for what is not there, times as exact text."""
    if word is None:
        return False
    if isinstance(word, float):
        return repr(word)
    if isinstance(word, bytes):
        # as a string: the servers' scripts do not know MessagePack's type for bytes
        return msgspec.Raw(b"\xdb" + len(word).to_bytes(4) + word)
    if isinstance(word, list | tuple):
        return [_plain(each) for each in word]
    return word
