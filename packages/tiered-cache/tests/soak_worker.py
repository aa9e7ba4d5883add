"""One of the processes of the soak: random calls, each value checked against what is confirmed.

The world is a file that the processes share. For each key it has the number that a factory reads,
and the changes that were confirmed: when, and which number. A value may not be older than a change
of this process that returned, nor than one of another process that was confirmed ``BOUND`` ago.
"""

import asyncio
import contextlib
import fcntl
import json
import logging
import mmap
import os
import random
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tiered_cache import CacheContext, CacheProvider, Settings

KEYS = [f"k{n}" for n in range(24)]
TAGS = {key: [f"t{n % 12}", f"u{n % 5}"] for n, key in enumerate(KEYS)}
RING = 64
SUSPECT = 1.0
BOUND = SUSPECT + 1.0
LEAST = 250  # reads of each process
PATIENCE = 120.0
_PAIR = struct.Struct("<qq")
SIZE = len(KEYS) * (16 + RING * 16)


class World:
    """The numbers that factories read, and the floors below which nothing may be returned."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), SIZE)
        self._gate = os.open(path, os.O_RDWR)
        self._own = dict.fromkeys(KEYS, 0)
        # tasks of this process that change a key, -1 for one alone: the lock of a file is the
        # process's, and would let all of them in
        self._users = dict.fromkeys(KEYS, 0)
        self._locks = {key: os.open(f"{path}.{key}", os.O_RDWR | os.O_CREAT) for key in KEYS}

    def _at(self, key: str) -> int:
        return KEYS.index(key) * (16 + RING * 16)

    def number(self, key: str) -> int:
        return _PAIR.unpack_from(self._map, self._at(key))[0]

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    @contextlib.contextmanager
    def changing(self, keys: list[str], *, alone: bool) -> Iterator[bool]:
        """Give whether the keys may be changed now: nothing else changes while a value is set."""
        if any(self._users[key] < 0 or (alone and self._users[key]) for key in keys):
            yield False
            return
        held: list[str] = []
        try:
            for key in keys:
                if not self._users[key]:
                    how = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
                    fcntl.flock(self._locks[key], how | fcntl.LOCK_NB)
                self._users[key] += -1 if alone else 1
                held.append(key)
            yield True
        except BlockingIOError:
            yield False
        finally:
            for key in held:
                self._users[key] -= -1 if alone else 1
                if not self._users[key]:
                    fcntl.flock(self._locks[key], fcntl.LOCK_UN)

    def change(self, keys: list[str]) -> dict[str, int]:
        """Give each key a new number, before anybody is told."""
        with self._alone():
            made = {key: self.number(key) + 1 for key in keys}
            for key, number in made.items():
                count = _PAIR.unpack_from(self._map, self._at(key))[1]
                _PAIR.pack_into(self._map, self._at(key), number, count)
        return made

    def confirmed(self, made: dict[str, int], *, everywhere: bool) -> None:
        for key, number in made.items():
            self._own[key] = max(self._own[key], number)
        if not everywhere:
            return
        with self._alone():
            for key, number in made.items():
                at = self._at(key)
                now, count = _PAIR.unpack_from(self._map, at)
                _PAIR.pack_into(self._map, at + 16 + count % RING * 16, time.monotonic_ns(), number)
                _PAIR.pack_into(self._map, at, now, count + 1)

    def floor(self, key: str) -> int:
        """Return the oldest number that may be returned from now on."""
        limit = time.monotonic_ns() - int(BOUND * 1e9)
        with self._alone():
            pairs = [_PAIR.unpack_from(self._map, self._at(key) + 16 + n * 16) for n in range(RING)]
        known = [number for at, number in pairs if at and at <= limit]
        return max([self._own[key], *known])


class Worker:
    """Random calls on one cache."""

    def __init__(self, cache: CacheProvider, world: World, seed: int) -> None:
        self.cache, self.world, self.rng = cache, world, random.Random(seed)
        self.done: dict[str, int] = {}
        self.violations: list[Any] = []

    def check(self, what: str, key: str, value: Any, floor: int) -> None:
        if value is not None and (value[0] != key or value[1] < floor):
            self.violations.append([what, key, value, floor, time.monotonic()])

    async def ask(self, key: str) -> None:
        late, fails, pause = self.rng.random() < 0.3, self.rng.random() < 0.1, self.rng.random()

        async def factory(context: CacheContext) -> tuple[str, int]:
            number = self.world.number(key)
            await asyncio.sleep(pause * 0.04)
            if fails:
                raise LookupError(key)
            if late:
                context.tags.extend(TAGS[key])
            return key, number

        floor = self.world.floor(key)
        options: dict[str, Any] = {"ttl": 30, "tags": None if late else TAGS[key]}
        if self.rng.random() < 0.2:
            options["soft_timeout"] = 0.01
        if key in KEYS[:4]:  # of the others, a refresh would heal what went wrong
            options["eager_refresh"] = 0.01
        with contextlib.suppress(LookupError):
            self.check(
                "get_or_set", key, await self.cache.get_or_set(key, factory, **options), floor
            )

    async def get(self, key: str) -> None:
        floor = self.world.floor(key)
        self.check("get", key, await self.cache.get(key), floor)

    async def set(self, key: str) -> None:
        with self.world.changing([key], alone=True) as allowed:
            if allowed:
                made = self.world.change([key])
                await self.cache.set(key, (key, made[key]), ttl=30, tags=TAGS[key])
                self.world.confirmed(made, everywhere=False)

    async def _gone(self, keys: list[str], change: Any) -> None:
        with self.world.changing(keys, alone=False) as allowed:
            if allowed:
                made = self.world.change(keys)
                done = await change()
                self.world.confirmed(made, everywhere=done.confirmed)
                if done.confirmed:
                    self.done["confirmed"] = self.done.get("confirmed", 0) + 1

    async def delete(self, key: str) -> None:
        await self._gone([key], lambda: self.cache.delete(key))

    async def invalidate(self, _: str) -> None:
        tag = self.rng.choice(["t0", "t1", "u0"])
        keys = [key for key in KEYS if tag in TAGS[key]]
        await self._gone(keys, lambda: self.cache.invalidate([tag]))

    async def soften(self, _: str) -> None:
        await self.cache.invalidate([self.rng.choice(["t0", "t1", "u1"])], soft=True)

    async def clear(self, _: str) -> None:
        await self._gone(KEYS, self.cache.clear)

    def _is_enough(self, until: float) -> bool:
        """Whether that much was done that it says something: a busy machine takes longer."""
        reads = self.done.get("get", 0) + self.done.get("ask", 0)
        return (reads > LEAST and self.done.get("confirmed", 0) > 2) or (
            time.monotonic() > until + PATIENCE
        )

    async def run(self, until: float) -> None:
        # changes are rare: what one process misses must live long enough in its L1 to be seen
        calls = [self.get] * 150 + [self.ask] * 150 + [self.set] + [self.delete] * 4
        calls += [self.invalidate] * 2 + [self.soften]
        while time.monotonic() < until or not self._is_enough(until):
            call = self.clear if self.rng.random() < 0.00008 else self.rng.choice(calls)
            await call(self.rng.choice(KEYS))
            self.done[call.__name__] = self.done.get(call.__name__, 0) + 1
            await asyncio.sleep(self.rng.random() * 0.004)


def make(kind: str, commands: str, messages: str) -> CacheProvider:
    """Return a cache whose commands and messages go different ways."""
    # patient for a cache: a machine that is busy with other tests may take long to answer
    l2: dict[str, Any] = {"lease": 0.5, "timeout": 0.3}
    settings = Settings.from_mapping({"suspect_after": SUSPECT, "l2": l2})
    if kind in {"sqlite", "memcached"}:
        l2["connection_string"] = commands
        if kind == "sqlite":
            del l2["timeout"]
        return CacheProvider(Settings.from_mapping({"suspect_after": SUSPECT, "l2": l2}))
    from tiered_cache.adapters import redis

    planes = {
        "pubsub": redis.RedisBackplane,
        "streams": redis.StreamsBackplane,
        "tracking": redis.TrackingBackplane,
    }
    plane = planes[kind](messages, timeout=0.3)
    tier = redis.RedisTier(commands, timeout=0.3, announce=plane.how, node=plane.node)
    return CacheProvider(settings, remote=tier, backplane=plane)


async def main() -> None:
    logging.disable(logging.CRITICAL)
    kind, commands, messages, path, seed, seconds = sys.argv[1:]
    async with make(kind, commands, messages) as cache:
        worker = Worker(cache, World(Path(path)), int(seed))
        await cache.get("begin")
        print("ready", flush=True)
        until = time.monotonic() + float(seconds)
        await asyncio.gather(*(worker.run(until) for _ in range(4)))
        stats = await cache.get_stats()
        told = {"l1": stats.l1_hits, "l2": stats.l2_hits, "opened": stats.breaker_opened}
        print(json.dumps({"done": worker.done | told, "violations": worker.violations}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
