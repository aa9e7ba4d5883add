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
from pathlib import Path
from typing import Any

ROUNDS = 15
BURST = 200


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def bare(tracker: Any) -> Any:
    """The floor: Starlette, one text for all, a loop of ``send_text``; no limits, no slow ones."""
    import msgspec
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute

    from progress_tracker.wire import to_json

    clients: dict[Any, None] = {}

    async def endpoint(websocket: Any) -> None:
        await websocket.accept()
        await websocket.send_text(msgspec.json.encode(to_json(await tracker.get("op"))).decode())
        clients[websocket] = None
        try:
            await websocket.receive()
        finally:
            del clients[websocket]

    async def told(state: Any) -> None:
        text = msgspec.json.encode(to_json(state)).decode()
        for client in list(clients):
            await client.send_text(text)

    tracker.subscribe("op", told)
    app = Starlette(routes=[WebSocketRoute("/ws/progress/op", endpoint)])
    app.state.care = type("Care", (), {"connections": property(lambda _: len(clients))})()
    return app


def serve(port: int, pipe: Any, ws: str, options: dict[str, Any]) -> None:
    import uvicorn

    from progress_tracker import ProgressTracker
    from progress_tracker.asgi import Limits, create_app

    async def main() -> None:
        async with ProgressTracker.from_url("memory://") as tracker:
            await tracker.create(id="op", user_id="u", stages=["read", "write"])
            small = "patience" in options
            if options.pop("bare", False):
                app = bare(tracker)
            else:
                limits = Limits(connections_per_user=100_000, **options)
                app = create_app(tracker, authenticate=lambda _: "u", limits=limits)
            config = uvicorn.Config(
                app, ws=ws, log_level="error", lifespan="off", access_log=False,
                ws_per_message_deflate=False, ws_ping_interval=None,  # our crowd answers no pings
            )  # fmt: skip
            door = socket.create_server(("127.0.0.1", port), backlog=8192)
            if small:
                # else the kernel takes megabytes for those who never read
                door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
            server = uvicorn.Server(config)
            task = asyncio.create_task(server.serve(sockets=[door]))
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


def connect(port: int, *, never_read: bool) -> socket.socket:
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


def measure(count: int, never_read: int, ws: str, *, floor: bool = False) -> dict[str, Any]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    ours, theirs = multiprocessing.Pipe()
    options: dict[str, Any] = {"patience": 3.0} if never_read else {}
    options |= {"bare": True} if floor else {}
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

    def rounds(skipped: int = 0) -> list[float]:
        nonlocal version
        version += skipped
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
        "what": "bare Starlette" if floor else "progress-tracker",
        "sockets": count, "connections": connections, "ws": ws,
        "ms_median": round(statistics.median(plain), 1), "ms_worst": round(max(plain), 1),
        "kib_a_client": round((full - empty) / 1024 / count, 1),
    }  # fmt: skip
    if never_read:
        report |= beside(port, ours, crowd, rounds, count, never_read)
    ours.send("stop")
    server.join(10)
    server.kill()
    return report


def beside(
    port: int, server: Any, crowd: Crowd, rounds: Any, count: int, never_read: int
) -> dict[str, Any]:
    """Measure again beside clients that never read, and see them dropped."""
    slow = [connect(port, never_read=True) for _ in range(never_read)]
    time.sleep(1)
    server.send("memory")
    before, _ = server.recv()
    server.send(BURST)
    while not server.poll():
        crowd.wait(b"nothing has this mark", 1, 0.05)
    server.recv()
    times = rounds(BURST)
    server.send("memory")
    after, _ = server.recv()
    deadline, left = time.perf_counter() + 20, never_read
    while left and time.perf_counter() < deadline:
        server.send("memory")
        left = server.recv()[1] - count
        time.sleep(0.1)
    for each in slow:
        each.close()
    return {
        "never_read": never_read, "beside_ms_median": round(statistics.median(times), 1),
        "beside_ms_worst": round(max(times), 1), "not_dropped": left,
        "growth_kib_each": round((after - before) / 1024 / never_read, 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sockets", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--never-read", type=int, default=0)
    parser.add_argument("--ws", default="websockets-sansio")
    parser.add_argument("--floor", action="store_true", help="bare Starlette beside it")
    arguments = parser.parse_args()
    multiprocessing.set_start_method("spawn")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    print(json.dumps({"descriptors": limit[1], "load": os.getloadavg()[0]}))
    for count in arguments.sockets:
        for floor in (True, False) if arguments.floor else (False,):
            never_read = 0 if floor else arguments.never_read
            print(json.dumps(measure(count, never_read, arguments.ws, floor=floor)), flush=True)


if __name__ == "__main__":
    main()
