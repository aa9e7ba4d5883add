"""One update to many WebSocket clients: how long until the last has it, what a client costs.

    python benchmarks/fan_out.py --sockets 1000 5000 [--never-read 100] [--ws websockets-sansio]

A server process (uvicorn) and a client process that speaks just enough of RFC 6455 to count frames;
`ulimit -n` must admit two descriptors for each socket. Prints the median and the worst of the
rounds, the same for the fast clients while others never read, and resident memory for each client.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import selectors
import socket
import statistics
import time
from typing import Any

ROUNDS = 15
BURST = 200


def memory() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def serve(port: int, pipe: Any, ws: str, options: dict[str, Any]) -> None:
    import uvicorn

    from progress_tracker import ProgressTracker
    from progress_tracker.asgi import Limits, create_app

    async def main() -> None:
        async with ProgressTracker.from_url("memory://") as tracker:
            await tracker.create(id="op", user_id="u", stages=["read", "write"])
            limits = Limits(connections_per_user=100_000, **options)
            app = create_app(tracker, authenticate=lambda _: "u", limits=limits)
            config = uvicorn.Config(
                app, port=port, ws=ws, log_level="error", lifespan="off", backlog=8192,
                ws_per_message_deflate=False, access_log=False,
            )  # fmt: skip
            server = uvicorn.Server(config)
            task = asyncio.create_task(server.serve())
            loop, n = asyncio.get_running_loop(), 0
            while True:
                command = await loop.run_in_executor(None, pipe.recv)
                if command == "stop":
                    break
                if command == "memory":
                    pipe.send((memory(), app.state.care.connections))
                    continue
                for _ in range(command):
                    n += 1
                    began = time.perf_counter()
                    await tracker.update("op", n / 100, "read", message="m" * 40)
                    if command > 1:
                        await asyncio.sleep(0.002)
                pipe.send((began, n))
            server.should_exit = True
            await task

    asyncio.run(main())


def connect(port: int, never_read: bool) -> socket.socket:
    made = socket.socket()
    if never_read:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", port))
    made.sendall(
        b"GET /ws/progress/op HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Sec-WebSocket-Version: 13\r\n\r\n"
    )
    return made


class Crowd:
    """Sockets that read all they get, and notice a mark in it."""

    def __init__(self, port: int, count: int) -> None:
        self.selector = selectors.DefaultSelector()
        self.sockets = []
        for _ in range(count):
            made = connect(port, never_read=False)
            made.setblocking(False)
            self.selector.register(made, selectors.EVENT_READ)
            self.sockets.append(made)
            if len(self.sockets) % 100 == 0:
                self.wait(b'"version":', 100)
        self.wait(b'"version":', count % 100)

    def wait(self, mark: bytes, count: int, seconds: float = 60.0) -> tuple[list[float], bool]:
        """Return when each of ``count`` sockets got ``mark``."""
        times: list[float] = []
        seen: set[int] = set()
        deadline = time.perf_counter() + seconds
        while len(seen) < count and time.perf_counter() < deadline:
            for key, _ in self.selector.select(1):
                data = key.fileobj.recv(65536)  # type: ignore[union-attr]  # they are sockets
                if not data:
                    self.selector.unregister(key.fileobj)
                elif mark in data and key.fd not in seen:
                    seen.add(key.fd)
                    times.append(time.perf_counter())
        return times, len(seen) == count


def measure(count: int, never_read: int, ws: str) -> dict[str, Any]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    ours, theirs = multiprocessing.Pipe()
    options = {"patience": 3.0} if never_read else {}
    server = multiprocessing.Process(target=serve, args=(port, theirs, ws, options), daemon=True)
    server.start()
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    ours.send("memory")
    empty, _ = ours.recv()
    crowd = Crowd(port, count)
    ours.send("memory")
    full, connections = ours.recv()
    version = 1

    def rounds() -> list[float]:
        nonlocal version
        found = []
        for _ in range(ROUNDS):
            version += 1
            ours.send(1)
            times, complete = crowd.wait(b'"version":%d,' % version, count)
            began, _ = ours.recv()
            assert complete, f"{len(times)} of {count} got version {version}"
            found.append((max(times) - began) * 1000)
            time.sleep(0.05)
        return found

    plain = rounds()
    report: dict[str, Any] = {
        "sockets": count, "connections": connections, "ws": ws,
        "ms_median": round(statistics.median(plain), 1), "ms_worst": round(max(plain), 1),
        "kib_a_client": round((full - empty) / 1024 / count, 1),
    }  # fmt: skip
    if never_read:
        slow = [connect(port, never_read=True) for _ in range(never_read)]
        time.sleep(1)
        ours.send("memory")
        before, _ = ours.recv()
        ours.send(BURST)
        version += BURST
        crowd.wait(b'"version":%d,' % version, count)
        ours.recv()
        beside = rounds()
        ours.send("memory")
        after, _ = ours.recv()
        dropped_after = time.perf_counter()
        left = never_read
        while left and time.perf_counter() - dropped_after < 30:
            ours.send(1)  # news that they do not take
            version += 1
            crowd.wait(b'"version":%d,' % version, count)
            ours.recv()
            ours.send("memory")
            left = ours.recv()[1] - count
            time.sleep(0.3)
        report |= {
            "never_read": never_read, "beside_ms_median": round(statistics.median(beside), 1),
            "beside_ms_worst": round(max(beside), 1), "still_connected": left,
            "growth_kib_each": round((after - before) / 1024 / never_read, 1),
        }  # fmt: skip
        for each in slow:
            each.close()
    ours.send("stop")
    server.join(10)
    server.kill()
    return report


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sockets", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--never-read", type=int, default=0)
    parser.add_argument("--ws", default="websockets-sansio")
    arguments = parser.parse_args()
    multiprocessing.set_start_method("spawn")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    print(json.dumps({"descriptors": limit[1], "load": os.getloadavg()[0]}))
    for count in arguments.sockets:
        print(json.dumps(measure(count, arguments.never_read, arguments.ws)), flush=True)


if __name__ == "__main__":
    main()
