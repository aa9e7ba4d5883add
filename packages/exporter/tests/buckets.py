"""Object stores for tests: S3 and Google's by emulators in this process, Azure's by Azurite."""

import base64
import contextlib
import functools
import hmac
import io
import os
import shutil
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from email.utils import formatdate
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import pytest

AZURE_ACCOUNT = "devstoreaccount1"
# the published key of every emulator
AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """Run moto's S3 in a thread; yield its address."""
    pytest.importorskip("obstore")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    finally:
        server.stop()


def s3_client(endpoint: str) -> Any:
    """Return boto3's client, which sees what obstore does not show: unfinished uploads."""
    boto3 = pytest.importorskip("boto3")
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="key",
        aws_secret_access_key="secret/of+tests",
        region_name="us-east-1",
    )


@contextlib.contextmanager
def gcs_server() -> Iterator[str]:
    """Run the emulator of Google Cloud Storage in a thread; yield its address."""
    pytest.importorskip("google.cloud.storage")
    emulator = pytest.importorskip("gcp_storage_emulator.server")
    storage = pytest.importorskip("gcp_storage_emulator.storage").Storage(use_memory_fs=True)
    # its own server answers one request at a time
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(emulator.RequestHandler, storage)
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def azure_server(folder: Path) -> Iterator[str]:
    """Run Azurite, if it is installed (npm install -g azurite); yield its address."""
    program = os.environ.get("AZURITE_BLOB") or shutil.which("azurite-blob")
    if program is None:
        pytest.skip("azurite-blob is not installed (npm install -g azurite)")
    process = subprocess.Popen(
        [program, "--blobPort", "0", "--location", str(folder), "--skipApiVersionCheck",
         "--disableTelemetry"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield _announced(process.stdout)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


class Cutter:
    """A proxy that cuts connections once so many bytes have gone to the server, some times."""

    def __init__(self, target: str, *, after: int, times: int) -> None:
        parts = urlsplit(target)
        self._target = (str(parts.hostname), int(parts.port or 0))
        self._after, self._times, self._seen = after, times, 0
        self._lock = threading.Lock()
        self.cuts = 0
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                outer.serve(self.request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        poll = {"poll_interval": 0.05}
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs=poll)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def serve(self, near: socket.socket) -> None:
        """Pass one connection on in both directions."""
        with socket.create_connection(self._target) as far:
            back = threading.Thread(target=self._back, args=(far, near), daemon=True)
            back.start()
            with contextlib.suppress(OSError):
                while data := near.recv(1 << 16):
                    if self._cut(len(data)):
                        break
                    far.sendall(data)
            for each in (near, far):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            back.join()

    def _cut(self, count: int) -> bool:
        with self._lock:
            self._seen += count
            if self._seen < self._after or self.cuts >= self._times:
                return False
            self.cuts += 1
            return True

    def _back(self, far: socket.socket, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 16):
                near.sendall(data)
        with contextlib.suppress(OSError):
            near.shutdown(socket.SHUT_WR)


def create_container(endpoint: str, name: str) -> None:
    """Create a container by a request of its own: obstore creates none."""
    now = formatdate(usegmt=True)
    signed = (
        "PUT" + "\n" * 12 + f"x-ms-date:{now}\nx-ms-version:2021-08-06\n"
        f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{name}\nrestype:container"
    )
    mac = hmac.digest(base64.b64decode(AZURE_KEY), signed.encode(), "sha256")
    headers = {
        "x-ms-date": now,
        "x-ms-version": "2021-08-06",
        "authorization": f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(mac).decode()}",
    }
    response = httpx.put(f"{endpoint}/{name}", params={"restype": "container"}, headers=headers)
    assert response.status_code == 201, response.text


def _announced(output: Any) -> str:
    for line in output:
        if "successfully listens on" in line:
            threading.Thread(target=_drained, args=(output,), daemon=True).start()
            return str(line.rsplit(" ", 1)[1].strip())
    raise AssertionError("azurite-blob ended before it listened")


def _drained(output: io.TextIOBase) -> None:
    with contextlib.suppress(ValueError):
        for _ in output:
            pass
