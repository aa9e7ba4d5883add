"""Jobs in a SQLite file that every process of a machine shares: the embedded broker."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from ..._common.clock import Clock, SystemClock
from ..._common.sql import Database
from ..._common.sqlite import CHANGES
from ..._common.urls import query_of, scheme_of
from ...errors import BackendError, ConfigurationError, QueueFull
from ...ports import Capabilities
from .broker import SQLBroker
from .plans import Plan, Words
from .versions import schema

T = TypeVar("T")
_LOOK = 0.05
_WORDS = Words()
_IN_A_TRANSACTION = replace(_WORDS, bulk=False, new=" ON CONFLICT DO NOTHING RETURNING id")


class _GivenTime:
    """The clock that was given, asked when the transaction is open."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> Plan[float]:
        yield from ()
        return self._clock.time()


def _fault(message: str, *, retryable: bool = False) -> Exception:
    full = "disk is full" in message
    return (QueueFull if full else BackendError)(message, retryable=retryable or full)


class SQLiteBroker(SQLBroker):
    """Jobs in SQLite (WAL). A step is one transaction and one hop to the driver's thread.

    Other processes' changes are seen by ``PRAGMA data_version``, a microsecond's look at shared
    memory, twenty times a second while idle.
    """

    capabilities = Capabilities(durable=True, shared=True, transactional=True)
    words = _WORDS

    def __init__(self, url: str, *, synchronous: str = "FULL", clock: Clock | None = None) -> None:
        """Use the file of ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

        Args:
            url: The file; the first call opens it and creates the tables.
            synchronous: SQLite's setting. FULL survives a loss of power, NORMAL only a crash.
            clock: Decides leases and delays: the machine's, which all workers share.
        """
        if scheme_of(url) != "sqlite":
            raise ConfigurationError(f"not a SQLite URL: {scheme_of(url)!r}")
        self._url, self._synchronous = url, synchronous
        self._clock = clock or SystemClock()
        self._time = _GivenTime(self._clock)
        self._bell = asyncio.Event()
        self._seen = -1
        self._db = Database(
            url, schema("sqlite"), dist="jobqueue", fault=_fault, synchronous=synchronous
        )

    @classmethod
    def from_url(cls, url: str, *, clock: Clock | None = None) -> "SQLiteBroker":
        """Return a broker for ``sqlite:///file.db?synchronous=NORMAL``.

        Raises:
            ConfigurationError: The option or its value is unknown.
        """
        options = query_of(url, allowed=frozenset({"synchronous"}))
        mode = options.get("synchronous", "FULL").upper()
        if mode not in {"OFF", "NORMAL", "FULL", "EXTRA"}:
            raise ConfigurationError(
                f"synchronous must be OFF, NORMAL, FULL or EXTRA, not {mode!r}"
            )
        return cls(url, synchronous=mode, clock=clock)

    def twin(self) -> "SQLiteBroker":
        return SQLiteBroker(self._url, synchronous=self._synchronous, clock=self._clock)

    async def wait(self, timeout: float) -> None:
        deadline = self._clock.monotonic() + timeout
        while not self._bell.is_set() and (left := deadline - self._clock.monotonic()) > 0:
            version = int((await self._db.fetch(CHANGES))[0][0])
            if version != self._seen:
                self._seen = version
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, _LOOK)):
                    await self._bell.wait()
        self._bell.clear()

    def detach(self) -> None:
        self._db.detach()
        self._bell = asyncio.Event()

    async def _run(self, plan: Callable[[], Plan[T]]) -> T:
        return await self._db.run(plan)

    def _joining(self) -> Words:
        return _IN_A_TRANSACTION

    def _ring(self) -> None:
        self._bell.set()
