"""Sockets of which some never read: the others get all, in time, and memory stays bounded."""

import asyncio
import json
import os
import socket
import statistics
import time

from .results import Results
from .serving import PATIENCE, Crowd, Server, enter, memory_of, post, running

SOCKETS, MESSAGES, SIZE = 10_000, 40, 4_000
SMALL, GROWTH = 16_384, 256.0  # bytes of a buffer of the kernel; KiB for each that reads nothing


def _mute(port: int, path: str) -> socket.socket:
    """Return a socket that is let in and reads nothing."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", port))
    made.sendall(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return made


async def _told(port: int, crowd: Crowd, count: int, size: int) -> list[float]:
    """Send messages one after another; return the milliseconds until all readers had each."""
    spent = []
    for turn in range(count):
        mark = f"mark-{turn:05}-{os.urandom(4).hex()}"
        crowd.expect(mark.encode())
        begun = time.perf_counter()
        posted = asyncio.create_task(post(port, f"/go?mark={mark}&size={size}"))
        await crowd.all.wait()
        spent.append((time.perf_counter() - begun) * 1e3)
        await posted
    return spent


async def run(results: Results, server: Server, told: str, sockets: int = SOCKETS) -> None:
    """Measure without and with one in a hundred that never reads; check what is promised.

    ``server`` is this package, ``told`` what is sent, by its name.
    """
    mute, messages = sockets // 100, MESSAGES
    beside = results.measure("beside", f"one {told} to {sockets - mute:,} sockets", "ms")
    environment = {"BENCH_PATIENCE": "5"}

    def path(n: int) -> str:
        return server.path.format(n=n)

    with running(server, environment, small=SMALL) as (port, pid):
        async with asyncio.timeout(2 * PATIENCE):
            crowd = Crowd(sockets - mute)
            clients = await enter(server, crowd, port, crowd.size, path)
            await _told(port, crowd, 2, SIZE)
            alone = await _told(port, crowd, messages // 4, SIZE)
            silent = [_mute(port, path(crowd.size + n)) for n in range(mute)]
            while await _connections(port) < sockets:
                await asyncio.sleep(0.1)
            before = memory_of(pid)
            spent = await _told(port, crowd, messages, SIZE)
            growth = (memory_of(pid) - before) / mute
            while await _connections(port) > crowd.size:
                await asyncio.sleep(0.2)
            after = await _told(port, crowd, messages // 4, SIZE)
        assert crowd.lost == 0, f"{crowd.lost} readers were lost"
        assert growth < GROWTH, f"{growth:.0f} KiB for each that reads nothing"
        beside.add("all read", statistics.median(alone), ours=True)
        beside.add(f"{mute} more never read", statistics.median(spent), ours=True)
        beside.add("after those were dropped", statistics.median(after), ours=True)
        room = results.measure("beside-memory", "growth for each that never reads", "KiB")
        room.add(server.title, growth, ours=True)
        for each in silent:
            each.close()
        for client in clients:
            client.close()


async def _connections(port: int) -> int:
    return int(json.loads(await post(port, "/stand"))["connections"])
