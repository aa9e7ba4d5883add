"""Run an ASGI application: ``python -m harness._common.serve MODULE PORT SNDBUF``.

With a small send buffer (bytes; 0 is the kernel's own) it shows early who reads nothing.
"""

import importlib
import socket
import sys

import uvicorn

if __name__ == "__main__":
    name, port, small = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    door = socket.create_server(("127.0.0.1", port), backlog=8192)
    if small:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, small)
    config = uvicorn.Config(
        importlib.import_module(name).app,
        log_level="error",
        access_log=False,
        ws_per_message_deflate=False,
        ws_ping_interval=None,  # the clients of the benchmarks answer nothing
    )
    uvicorn.Server(config).run(sockets=[door])
