"""A doorbell by LISTEN and NOTIFY of PostgreSQL."""

import asyncio
import contextlib
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
    """Notifies on one channel; who listens holds a connection of its own outside the pool."""

    capabilities = Capabilities(shared=True)

    def __init__(self, url: str, *, table: str = "notifications") -> None:
        """Ring over the database of ``url``, whose tables a store of the same ``table`` made."""
        self._db = Database(url, sql.schema_of(table), dist="notify", fault=BackendError, lanes=2)
        self._channel = bell_of(table)
        self._raw: set[Any] = set()

    async def publish(self, users: Collection[str]) -> None:
        for each in payloads(users):
            await self._db.fetch(
                "SELECT pg_notify(CAST(:channel AS TEXT), CAST(:payload AS TEXT))",
                {"channel": self._channel, "payload": each},
            )

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
            heard(None)  # nobody knows what was rung before
            while not lost.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_BEAT):
                        await lost.wait()
                        break
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
