"""A doorbell by LISTEN and NOTIFY of PostgreSQL, rung by the store in its own transactions.

NOTIFY takes a lock of the whole server at commit, and makes a transaction that wrote nothing one
that writes: so it stands in the transaction that has the news, and only while somebody listens.
Who listens holds an advisory lock in shared mode; who writes looks whether it is held by trying to
take it, for the length of one expression. A change that looked just before we listened and commits
just after is found by a look of our own.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Collection, Iterator
from typing import Any

import msgspec

from .._common.sql import Database
from ..errors import BackendError
from ..ports import Backplane, Capabilities
from . import sql_tables as sql

_BEAT = 15.0
_PATIENCE = 10.0
_LONGEST = 7_000  # bytes; a payload of NOTIFY must be under 8,000
_LOOKS = (0.05, 0.5, 2.0)
LOCK = "1852798052, 1"  # a number of ours among the application's advisory locks
RING = (
    f"SELECT CASE WHEN pg_try_advisory_lock({LOCK}) "
    f"THEN CAST(pg_advisory_unlock({LOCK}) AS TEXT) "
    "ELSE CAST(pg_notify(CAST(:bell AS TEXT), CAST(:payload AS TEXT)) AS TEXT) END"
)
"""A statement that rings when the transaction commits, if anybody listens."""


def rings(where: str = "") -> str:
    """Return an expression that does the same for many payloads, if a condition holds."""
    return (
        f"(SELECT count(CASE WHEN pg_try_advisory_lock({LOCK}) "  # noqa: S608  own words
        f"THEN CAST(pg_advisory_unlock({LOCK}) AS TEXT) "
        "ELSE CAST(pg_notify(CAST(:bell AS TEXT), payload) AS TEXT) END) "
        f"FROM unnest(CAST(:payloads AS TEXT[])) AS bells (payload) {where})"
    )


def bell_of(table: str) -> str:
    """Return the name of the channel of a store's ``table``."""
    return f"{table}_bell"


def payloads(users: Collection[str]) -> Iterator[str]:
    """Yield the users in as many payloads as it takes; an empty one means anybody."""
    part, size = list[str](), 0
    for user in sorted(users):
        length = len(msgspec.json.encode(user)) + 1
        if size + length > _LONGEST and part:
            yield msgspec.json.encode(part).decode()
            part, size = [], 0
        part.append(user)
        size += length
    if part:
        yield msgspec.json.encode(part).decode()


class PostgresBackplane(Backplane):
    """Notifies on one channel; who listens holds a connection of its own outside the pool.

    Of a store on the same database ``publish`` has nothing to do: its transactions ring.
    """

    capabilities = Capabilities(shared=True)

    def __init__(self, url: str, *, table: str = "notifications", rung: bool = False) -> None:
        """Ring over the database of ``url``, whose tables a store of the same ``table`` made.

        Args:
            url: The database.
            table: Of the store.
            rung: Whether the store on that database rings by itself.
        """
        self._db = Database(url, sql.schema_of(table), dist="notify", fault=BackendError, lanes=2)
        self._channel, self._rung = bell_of(table), rung
        self._raw: set[Any] = set()

    async def publish(self, users: Collection[str]) -> None:
        for each in () if self._rung else payloads(users):
            await self._db.fetch(RING, {"bell": self._channel, "payload": each})

    async def listen(self, heard: Callable[[Collection[str] | None], None]) -> None:
        raw: Any = None
        lost = asyncio.Event()

        def on_notify(_: object, __: int, ___: str, payload: str) -> None:
            try:
                heard(msgspec.json.decode(payload, type=list[str]))
            except msgspec.MsgspecError:
                heard(None)  # another release's words

        try:
            async with asyncio.timeout(_PATIENCE):
                raw = await self._db.open_raw()
                self._raw.add(raw)
                raw.add_termination_listener(lambda _: lost.set())
                await raw.add_listener(self._channel, on_notify)
                await raw.execute(f"SELECT pg_advisory_lock_shared({LOCK})")
            heard(None)  # nobody knows what was rung before
            for pause in itertools.chain(_LOOKS, itertools.repeat(_BEAT)):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await lost.wait()
                        break
                if pause is not _BEAT:
                    heard(None)  # what was under way when we began to listen
                async with asyncio.timeout(_PATIENCE):
                    await raw.execute("SELECT 1")  # a connection that died in silence is noticed
        except (OSError, TimeoutError) as exc:
            raise BackendError(f"the backplane's connection: {exc}", retryable=True) from exc
        except Exception as exc:
            if type(exc).__module__.partition(".")[0] != "asyncpg":
                raise
            what = f"the backplane's connection: {type(exc).__name__}"
            raise BackendError(what, retryable=True) from exc
        else:
            raise BackendError("the backplane's connection was closed", retryable=True)
        finally:
            if raw is not None:
                self._raw.discard(raw)
                raw.terminate()

    async def aclose(self) -> None:
        await self._db.aclose()

    def detach(self) -> None:
        raws, self._raw = self._raw, set()
        for each in raws:
            with contextlib.suppress(Exception):
                each.terminate()
        self._db.detach()
