"""The server, its keys and its clock: what all calls of the Redis broker need."""

import re
from typing import Any, Self
from urllib.parse import urlsplit

from ..._common.clock import Clock
from ..._common.redis_lanes import Lanes
from ..._common.redis_wire import connections
from ..._common.urls import query_of, redact, without_query
from ...clocks import told
from ...errors import ConfigurationError, QueueFull
from ...ports import FORMAT, Broker
from ..options import number
from .packing import packed
from .reading import answer_of
from .scripts import NAMES, script
from .waking import Waker

_OPTIONS = frozenset({"prefix", "timeout", "pool"})
_PREFIX = re.compile(r"[\w.:-]{1,100}")


class RedisBase(Broker):
    """A broker's connections, and one call of a script."""

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "jobqueue",
        timeout: float = 5.0,
        pool: int = 4,
        clock: Clock | None = None,
    ) -> None:
        """Keep jobs on the server at ``url``; the first call connects.

        Args:
            url: ``redis://host:6379/0``, ``rediss://…`` or ``unix://…``.
            prefix: What all keys begin with, in braces: two of them share nothing.
            timeout: Seconds within which each call ends.
            pool: The most connections at once, beside the one that listens.
            clock: Only a test's clock counts; else the server's own decides.

        Raises:
            ConfigurationError: The prefix is not 1 to 100 letters, digits or ``_ . : -``.
            MissingExtraError: The library is not installed.
        """
        if not _PREFIX.fullmatch(prefix):
            raise ConfigurationError(
                f"prefix must be 1 to 100 letters, digits or any of _ . : -, not {prefix!r}"
            )
        self._url, self._clock, self._key = url, clock, b"{%b}" % prefix.encode()
        self._prefix, self._timeout, self._pool = prefix, timeout, pool
        self._lanes = Lanes(url, dist="jobqueue", full=QueueFull, timeout=timeout, most=pool)
        self._waker = Waker(self._lanes, self._key, timeout)
        self._born: float | None = None

    @classmethod
    def from_url(cls, url: str, *, clock: Clock | None = None) -> Self:
        """Return a broker for ``redis://…?prefix=jobqueue&timeout=5&pool=4``.

        Other options are redis-py's.

        Raises:
            ConfigurationError: An option's value is out of its range.
        """
        options = query_of(url)
        place = urlsplit(url)
        if place.scheme != "unix" and not re.fullmatch(r"/?[0-9]*", place.path):
            raise ConfigurationError(
                f"the path of {redact(url)} must be a database's number, like /0"
            )
        # the same protocol: redis-py does not know the other name
        url = re.sub(r"^valkey(s?)(?=:)", lambda found: "rediss" if found[1] else "redis", url)
        return cls(
            without_query(url, *_OPTIONS) if options else url,
            prefix=options.get("prefix", "jobqueue"),
            timeout=number(options, "timeout", 5.0, 0.05, 3600),
            pool=int(number(options, "pool", 4, 1, 100)),
            clock=clock,
        )

    def twin(self) -> Self:
        return type(self)(
            self._url,
            prefix=self._prefix,
            timeout=self._timeout,
            pool=self._pool,
            clock=self._clock,
        )

    async def _run(
        self, name: str, *words: Any, blob: bytes = b"", again: bool = True
    ) -> tuple[list[Any], memoryview]:
        absolute, ahead = told(self._clock)
        meta = packed((absolute, ahead, *words))
        reply = await self._lanes.run(script(name), self._key, meta, blob, again=again)
        return answer_of(reply)

    async def _look(self, what: str, *words: Any) -> tuple[list[Any], memoryview]:
        padded = (*words, *(None for _ in range(3 - len(words))))
        return await self._run("look", what, *padded, FORMAT)

    async def time(self) -> float:
        (now,), _ = await self._look("time")
        return float(now)

    def preload(self) -> None:
        connections(self._url, "jobqueue", None)
        for name in NAMES:
            script(name)

    async def setup(self) -> None:
        """Look whether the server can hold jobs; there is no schema to create."""
        await self.time()

    async def aclose(self) -> None:
        await self._waker.aclose()
        await self._lanes.aclose()

    def detach(self) -> None:
        self._waker.detach()
        self._lanes.detach()
