"""How long one message takes to the last of many sockets, and what a socket costs the server."""

import asyncio
import os
import statistics
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import version

from .results import Results
from .serving import PATIENCE, Crowd, Server, enter, memory_of, post, running

ROUNDS = 10


def contenders(own: Server) -> dict[str, Server]:
    """Return who takes part, by a short name: ``own`` is this package."""
    where = "harness._common"
    return {
        "ours": own,
        "starlette": Server("bare Starlette", f"{where}.on_starlette", own.path, floor=True),
        "python-socketio": Server(
            "python-socketio",
            f"{where}.on_socketio",
            "/socket.io/?EIO=4&transport=websocket",
            opening=b"40",
        ),
        "channels": Server("channels", f"{where}.on_channels", own.path),
    }


async def run_one(
    server: Server, size: int, environment: Mapping[str, str]
) -> tuple[list[float], float]:
    """Return the milliseconds of each round, and the KiB that a client costs."""
    with running(server, environment) as (port, pid):
        async with asyncio.timeout(PATIENCE):
            return await _rounds(server, size, port, pid)


async def _rounds(server: Server, size: int, port: int, pid: int) -> tuple[list[float], float]:
    crowd = Crowd(size)
    # the first one comes after all that is imported and made once
    clients = await enter(server, crowd, port, 1, lambda n: server.path.format(n=n))
    before = memory_of(pid)
    clients += await enter(server, crowd, port, size - 1, lambda n: server.path.format(n=n + 1))
    each = (memory_of(pid) - before) / (size - 1)
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


async def run(
    results: Results,
    servers: Iterable[Server],
    told: str,
    size: int,
    repetitions: int,
    environment: Mapping[str, str],
) -> None:
    """Measure everybody in turn; one that cannot is told.

    ``told`` is what is sent, by its name; ``environment`` names the Redis of who needs one
    (``BENCH_REDIS``).
    """
    fan = results.measure(f"fan-out-{size}", f"one {told} to {size:,} sockets", "ms")
    room = results.measure(f"memory-{size}", f"a socket among {size:,}, in the server", "KiB")
    for _ in range(repetitions):
        for server in servers:
            kind = {"ours": server.ours, "floor": server.floor}
            who = server.title if any(kind.values()) else f"{server.title} {version(server.title)}"
            try:
                spent, each = await run_one(server, size, environment)
            except (AssertionError, OSError, TimeoutError) as exc:
                print(f"{who}, {size:,} sockets: {type(exc).__name__} {exc}")
                continue
            worst = f"slowest of the last {ROUNDS}: {max(spent):.0f} ms"
            fan.add(who, statistics.median(spent), told=worst, **kind)
            room.add(who, each, **kind)
