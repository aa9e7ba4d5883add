"""Values in one Redis or Valkey, found by address or by Sentinel."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..._common.extras import require
from ...ports import LATEST, Capabilities, Read, RemoteTier, TagVersion, Write
from . import scripts
from .clients import DIST, check_client, check_url, client_of, close, faults, load, plain_url
from .servertime import ServerTime
from .wire import Wire

ESCAPED = str.maketrans({char: f"\\{char}" for char in "*?[]\\"})
MOST = 1000
STREAM_LENGTH = 10_000


class RedisTier(RemoteTier):
    """Values in Redis. A read is one command, every change one script."""

    capabilities = Capabilities(shared=True, durable=True, leases=True)

    def __init__(
        self,
        url: str,
        *,
        key_prefix: str = "cache:",
        timeout: float = 1.0,
        client: Any = None,
        announce: str = "",
        node: str = "",
    ) -> None:
        """Describe the server; the first call connects.

        Args:
            url: ``redis://``, ``unix://`` or ``redis+sentinel://``; ``rediss`` in place of
                ``redis`` for TLS.
            key_prefix: Before every key; may hold any character.
            timeout: Seconds for connecting, and for each step of what takes several. Of one server
                the cache limits every other call.
            client: A ready client (``decode_responses=False``); it is not closed by us.
            announce: How changes are told: ``publish`` on the channel of the backplane, ``stream``,
                or not at all.
            node: Who tells them: the backplane of this process.

        Raises:
            ConfigurationError: Something in the URL is wrong.
        """
        load()
        self._url, self._prefix, self._timeout = plain_url(url), key_prefix, timeout
        self._client, self._owns_client = client, client is None
        if client is None:
            check_url(self._url)
        else:
            check_client(client)
        self._faults, self._errors = faults(self._url), _errors()
        self.capabilities = replace(self.capabilities, announces=bool(announce))
        self._head = [announce, node, STREAM_LENGTH]
        self._time = ServerTime()
        self._wire: Wire | None = None

    @property
    def _redis(self) -> Any:
        if self._client is None:
            self._client = client_of(self._url, timeout=self._timeout, limited=False)
        return self._client

    def _value(self, name: str) -> str:
        return f"{self._prefix}v:{name}"

    def _fence(self, name: str) -> str:
        return f"{self._prefix}f:{name}"

    def _lease(self, name: str) -> str:
        return f"{self._prefix}l:{name}"

    @property
    def _tags(self) -> str:
        return f"{self._prefix}tags"

    @property
    def _line(self) -> list[str]:
        """What messages are sent by: the key of their number, and the channel or stream."""
        return [f"{self._prefix}seq", f"{self._prefix}backplane"]

    @property
    def _command(self) -> Callable[..., Awaitable[Any]]:
        """What runs a command; a client that is not ours has its own way, and its second tries."""
        if self._wire is not None:
            return self._wire.call
        client = self._redis
        if self._owns_client:
            self._wire = Wire(client, self._errors)
            return self._wire.call
        run: Callable[..., Awaitable[Any]] = client.execute_command
        return run

    async def _run(self, script: scripts.Script, keys: Sequence[str], args: Sequence[Any]) -> Any:
        with self._faults:
            try:
                return await self._command("EVALSHA", script.sha, len(keys), *keys, *args)
            except self._errors.NoScriptError:
                return await self._command("EVAL", script.text, len(keys), *keys, *args)

    # -- reading -----------------------------------------------------------------------------

    async def read(self, keys: Sequence[str], tags: Sequence[str], *, fences: bool = True) -> Read:
        if not keys and not tags:
            with self._faults:
                await self._command("PING")
            return Read({}, {}, {})
        if not tags and not fences and len(keys) <= MOST:  # what plain reads ask for
            head = f"{self._prefix}v:"  # as in _value
            with self._faults:
                raw_values = await self._command("MGET", *[head + key for key in keys])
            return Read(_present(keys, raw_values), {}, {})
        values: list[Any] = []
        numbers: list[Any] = []
        raws: list[Any] = []
        for start in range(0, max(1, len(keys)), MOST):
            part = keys[start : start + MOST]
            names = [*map(self._value, part), *(map(self._fence, part) if fences else ())]
            found, versions = await self._read(names, [] if start else tags)
            values += found[: len(part)]
            numbers += found[len(part) :]
            raws += versions
        return Read(
            _present(keys, values),
            {key: fence_of(raw) for key, raw in zip(keys, numbers, strict=False)},
            await self._versions(tags, raws) if tags else {},
        )

    async def _read(self, names: list[str], tags: Sequence[str]) -> tuple[list[Any], list[Any]]:
        if tags:
            args = [len(names), LATEST, *tags]
            found: Any = await self._run(scripts.READ, [*names, self._tags], args)
            return found[0], found[1]
        with self._faults:
            return await self._command("MGET", *names), []

    async def _versions(self, tags: Sequence[str], raws: Sequence[Any]) -> dict[str, TagVersion]:
        if not tags:
            return {}
        latest, *own = (version_of(raw) for raw in raws)
        known = dict(zip(tags, own, strict=True))
        # no version of ours: nobody knows which it was, and a new one is higher
        foreign = [
            tag
            for tag, raw in zip(tags, raws[1:], strict=True)
            if raw is not None and not known[tag]
        ]
        if latest is None or foreign:
            made = await self._bump("hard", [tag for tag in foreign if tag != LATEST])
            latest = made[LATEST]
            known |= made
        first = TagVersion(latest.hard, latest.hard)
        return {tag: latest if tag == LATEST else known[tag] or first for tag in tags}

    # -- changing ----------------------------------------------------------------------------

    async def write(self, items: Sequence[Write]) -> Sequence[bool]:
        # a command that we give up may reach the server later: it must not undo what came after
        moment = asyncio.get_running_loop().time()
        done: list[bool] = []
        for start in range(0, len(items), MOST):
            part = items[start : start + MOST]
            keys = [name for item in part for name in self._pair(item.key)]
            args = [value for item in part for value in await self._arguments(item, moment)]
            raws = await self._run(scripts.WRITE, [*self._line, *keys], [*self._head, *args])
            done += map(bool, raws)
        return done

    async def _arguments(self, item: Write, moment: float) -> tuple[Any, ...]:
        """Return what the script is told of a value that was given at ``moment``."""
        fence, limit, doubt = str(item.fence), 0, ""
        if item.fence is None:
            fence, doubt = "", "1" if item.age else ""
            limit = await self._at(item.key, moment) - int(item.age * 1e6)
        return item.key, item.data, max(1, int(item.ttl * 1000)), fence, limit, doubt

    async def _at(self, key: str, moment: float) -> int:
        """Return the latest that the clock of a key's server can have shown at ``moment``."""
        with self._faults:
            return await self._time.latest(moment, "", lambda: self._command("TIME"))

    def _pair(self, name: str) -> tuple[str, str]:
        return self._value(name), self._fence(name)

    async def delete(self, keys: Sequence[str]) -> int:
        count = 0
        for start in range(0, len(keys), MOST):
            part = keys[start : start + MOST]
            names = [name for key in part for name in self._pair(key)]
            found = await self._run(scripts.DELETE, [*self._line, *names], [*self._head, *part])
            count += int(found)
        return count

    async def bump(self, tags: Sequence[str], *, soft: bool = False) -> Mapping[str, TagVersion]:
        if not tags:
            return {}
        made = await self._bump("soft" if soft else "hard", tags)
        return {tag: made[tag] for tag in tags}

    async def _bump(self, mode: str, tags: Sequence[str]) -> dict[str, TagVersion]:
        keys = [*self._line, self._tags]
        raws = await self._run(scripts.BUMP, keys, [*self._head, mode, *tags])
        return made_of([*tags, LATEST], raws)

    async def delete_pattern(self, pattern: str) -> int:
        count, batch = 0, list[str]()
        async for name in self._names(pattern):
            batch.append(name)
            if len(batch) >= MOST:
                count += await self._unlink(batch)
                batch.clear()
        return count + (await self._unlink(batch) if batch else 0)

    async def _unlink(self, names: Sequence[str]) -> int:
        # without their fences: a pattern is best effort against factories that run elsewhere
        with self._faults:
            async with asyncio.timeout(self._timeout):
                return int(await self._command("UNLINK", *map(self._value, names)))

    async def list_keys(self, pattern: str, limit: int) -> list[str]:
        found: list[str] = []
        async for name in self._names(pattern):
            found.append(name)
            if len(found) >= limit:
                break
        return found

    async def _names(self, pattern: str) -> AsyncGenerator[str, None]:
        # SCAN, never KEYS; the prefix is escaped, so that the pattern cannot leave it
        start, end = self._around
        match = f"{start.translate(ESCAPED)}{pattern}{end}"
        with self._faults:
            async for raw in self._scan(match):
                name = bytes(raw).decode(errors="replace")
                yield name[len(start) : len(name) - len(end)]

    async def _scan(self, match: str) -> AsyncGenerator[Any, None]:
        cursor: Any = 0
        while True:
            # the call as a whole may take long: a server that is gone is noticed here
            async with asyncio.timeout(self._timeout):
                found = await self._command("SCAN", cursor, "MATCH", match, "COUNT", MOST)
            cursor, names = found
            for name in names:
                yield name
            if not int(cursor):
                return

    @property
    def _around(self) -> tuple[str, str]:
        """What stands before and after a key in the name of its value."""
        return self._value(""), ""

    # -- leases ------------------------------------------------------------------------------

    async def acquire(self, name: str, token: str, ttl: float) -> bool:
        return (await self.acquire_many([(name, token)], ttl))[0]

    async def acquire_many(self, leases: Sequence[tuple[str, str]], ttl: float) -> Sequence[bool]:
        names = [self._lease(name) for name, _ in leases]
        args = [max(1, int(ttl * 1000)), *(token for _, token in leases)]
        return [bool(done) for done in await self._run(scripts.ACQUIRE, names, args)]

    async def release(self, name: str, token: str) -> bool:
        keys = [*self._line, self._lease(name)]
        return bool(await self._run(scripts.RELEASE, keys, [*self._head, token, name]))

    # -- life --------------------------------------------------------------------------------

    async def aclose(self) -> None:
        if self._owns_client and self._client is not None:
            client, self._client, self._wire = self._client, None, None
            await close(client)

    def detach(self) -> None:
        if self._owns_client:
            self._client = self._wire = None


def _present(keys: Sequence[str], values: Sequence[Any]) -> Mapping[str, bytes]:
    return {key: data for key, data in zip(keys, values, strict=True) if data is not None}


def _errors() -> Any:
    return require("redis.exceptions", dist=DIST, extra="redis")


_VERSION = re.compile(rb"(\d{1,16}):(\d{1,16})")


def version_of(raw: Any) -> TagVersion | None:
    """Return the versions that a field of the hash holds; None if it holds none of ours."""
    found = None if raw is None else _VERSION.fullmatch(raw)
    return None if found is None else TagVersion(int(found[1]), int(found[2]))


def made_of(tags: Sequence[str], raws: Sequence[Any]) -> dict[str, TagVersion]:
    """Return the versions that ``BUMP`` answers with."""
    found = ((tag, version_of(raw)) for tag, raw in zip(tags, raws, strict=True))
    return {tag: version for tag, version in found if version is not None}


def fence_of(raw: Any) -> int:
    """Return the fence that a key holds; 0 for none of ours."""
    return int(raw) if raw is not None and bytes(raw).isdigit() else 0
