"""Values in a Redis Cluster: what belongs to one key lies in one slot, tags in one hash."""

import asyncio
from collections.abc import Sequence
from typing import Any

from ...ports import LATEST, Read, Write
from . import scripts
from .tier import MOST, RedisTier, fence_of, made_of


class RedisClusterTier(RedisTier):
    """Values in a cluster. A read or write of several keys is one pipeline for each node.

    Messages are sent after a change, by a second call: their number lives in another slot.
    """

    # the part in braces chooses the slot; it begins with a sign, so that it is never empty
    def _value(self, name: str) -> str:
        return f"{self._prefix}v:{{={name}}}"

    def _fence(self, name: str) -> str:
        return f"{self._prefix}f:{{={name}}}"

    def _lease(self, name: str) -> str:
        return f"{self._prefix}l:{{={name}}}"

    async def _each(self, calls: Sequence[Sequence[Any]]) -> list[Any]:
        """Run commands, those of one node in one pipeline, whatever slots they are of."""
        if len(calls) == 1:
            with self._faults:
                return [await self._redis.execute_command(*calls[0])]
        with self._faults:
            pipe = self._redis.pipeline()
            for call in calls:
                pipe.execute_command(*call)
            found: list[Any] = await pipe.execute()
        return found

    async def _scripts(
        self, script: scripts.Script, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]
    ) -> list[Any]:
        # the head says that nothing is announced; its keys would lie in another slot
        own = [
            ("EVAL", script.text, len(keys) + 2, keys[0], keys[0], *keys, "", "", 0, *args)
            for keys, args in calls
        ]
        return await self._each(own) if own else []

    async def read(self, keys: Sequence[str], tags: Sequence[str], *, fences: bool = True) -> Read:
        calls: list[Sequence[Any]] = [("MGET", *self._pair(key)) for key in keys]
        if tags:
            calls.append(("HMGET", self._tags, LATEST, *tags))
        if not calls:
            with self._faults:
                await self._redis.ping()
            return Read({}, {}, {})
        found = await self._each(calls)
        pairs = dict(zip(keys, found, strict=False))
        return Read(
            {key: data for key, (data, _) in pairs.items() if data is not None},
            {key: fence_of(fence) for key, (_, fence) in pairs.items()},
            await self._versions(tags, found[-1] if tags else []),
        )

    async def write(self, items: Sequence[Write]) -> Sequence[bool]:
        moment = asyncio.get_running_loop().time()
        calls = [(self._pair(item.key), await self._arguments(item, moment)) for item in items]
        return [bool(done[0]) for done in await self._scripts(scripts.WRITE, calls)]

    async def _at(self, key: str, moment: float) -> int:
        with self._faults:
            await self._redis.initialize()
            node = self._redis.get_node_from_key(self._value(key))

            async def ask() -> Any:
                return await self._redis.execute_command("TIME", target_nodes=node)

            return await self._time.latest(moment, node.name, ask)

    async def delete(self, keys: Sequence[str]) -> int:
        calls = [(self._pair(key), (key,)) for key in keys]
        return sum(map(int, await self._scripts(scripts.DELETE, calls)))

    async def _bump(self, mode: str, tags: Sequence[str]) -> dict[str, Any]:
        (raws,) = await self._scripts(scripts.BUMP, [((self._tags,), (mode, *tags))])
        return made_of([*tags, LATEST], raws)

    async def _unlink(self, names: Sequence[str]) -> int:
        return sum(map(int, await self._each([("UNLINK", self._value(name)) for name in names])))

    def _scan(self, match: str) -> Any:
        return self._redis.scan_iter(match=match, count=MOST)

    @property
    def _around(self) -> tuple[str, str]:
        return self._value("")[:-1], "}"

    async def acquire_many(self, leases: Sequence[tuple[str, str]], ttl: float) -> Sequence[bool]:
        life = max(1, int(ttl * 1000))
        calls = [
            ("EVAL", scripts.ACQUIRE.text, 1, self._lease(name), life, token)
            for name, token in leases
        ]
        return [bool(done[0]) for done in await self._each(calls)]

    async def release(self, name: str, token: str) -> bool:
        (done,) = await self._scripts(scripts.RELEASE, [((self._lease(name),), (token, name))])
        return bool(done)
