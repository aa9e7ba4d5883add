"""How long one message takes to the last of many sockets, and what a socket costs the server."""

import asyncio
import os
import statistics
import time
from importlib.metadata import version

from .results import Results
from .serving import PATIENCE, SERVERS, Crowd, Server, enter, memory_of, post, running

ROUNDS = 10


async def run_one(server: Server, size: int) -> tuple[list[float], float]:
    """Return the milliseconds of each round, and the KiB that a client costs."""
    async with running(server) as (port, pid), asyncio.timeout(PATIENCE):
        crowd = Crowd(size)
        before = memory_of(pid)
        clients = await enter(server, crowd, port, size, lambda _: server.path)
        each = (memory_of(pid) - before) / size
        spent: list[float] = []
        for turn in range(ROUNDS + 1):
            mark = f"mark-{turn:05}-{os.urandom(4).hex()}"
            crowd.expect(mark.encode())
            begun = time.perf_counter()
            posted = asyncio.create_task(post(port, f"/go?mark={mark}"))
            await crowd.all.wait()
            spent.append((time.perf_counter() - begun) * 1e3)
            await posted
            await asyncio.sleep(0.05)  # the server comes to rest
        assert crowd.lost == 0, f"{crowd.lost} clients were lost"
        for client in clients:
            client.close()
    return spent[1:], each  # the first one warms up


async def run(results: Results, size: int, repetitions: int) -> None:
    """Measure everybody in turn; one that cannot is told."""
    fan = results.measure(f"fan-out-{size}", f"one message to {size:,} sockets", "ms")
    room = results.measure(f"memory-{size}", f"a socket among {size:,}, in the server", "KiB")
    for _ in range(repetitions):
        for name, server in SERVERS.items():
            who = server.title if server.ours or server.floor else f"{name} {version(name)}"
            try:
                spent, each = await run_one(server, size)
            except (AssertionError, OSError, TimeoutError) as exc:
                print(f"{who}, {size:,} sockets: {type(exc).__name__} {exc}")
                continue
            told = f"slowest of the last {ROUNDS}: {max(spent):.0f} ms"
            kind = {"ours": server.ours, "floor": server.floor}
            fan.add(who, statistics.median(spent), told=told, **kind)
            room.add(who, each, **kind)
