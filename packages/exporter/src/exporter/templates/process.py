"""A process that renders one template: fed, watched, ended by force; nothing of it is left."""

import contextlib
import math
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import msgspec

from ..errors import MissingExtraError, TemplateError
from ..settings import TemplateSettings

_LOOK = 0.05
_BLOCK = 1 << 16
_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "FONTCONFIG_FILE", "FONTCONFIG_PATH")
HEAD = struct.Struct(">cI")
DATA, FAULT, MISSING, DONE = b"D", b"E", b"M", b"Z"


class Job(msgspec.Struct, frozen=True):
    """What the process is told first: what to render, the time that the file carries, limits."""

    engine: str
    name: str
    template: str
    now: float
    memory: int = 0
    cpu: int = 0


class TemplateProcess:
    """The parent's side. Takes records, then gives the file; kills the process at the end.

    The child gets no environment but what fonts and dates need, and reads all before it renders.
    """

    def __init__(self, job: Job, limits: TemplateSettings, check: Callable[[], None]) -> None:
        """Prepare; ``check`` raises what ends the export."""
        self._limits, self._check = limits, check
        self._job = msgspec.structs.replace(
            job, memory=limits.memory, cpu=math.ceil(limits.timeout)
        )
        self._name, self._sent = job.name, 0
        # sent later: what fails before the block begins would not end the process
        self._waiting = bytearray(msgspec.json.encode(self._job) + b"\n")

    def __enter__(self) -> Self:
        """Start the process."""
        self._until = time.monotonic() + self._limits.timeout
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "exporter.templates.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment(),
            start_new_session=True,  # with what it may start, it is ended as one group
            cwd="/",
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        os.set_blocking(self._in.fileno(), False)
        os.set_blocking(self._out.fileno(), False)
        return self

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        # a proxy that is not there: where the network cannot be taken away, requests still fail
        nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
        path = os.pathsep.join(each for each in sys.path if each)
        moment = str(max(0, int(self._job.now)))
        return {**kept, **nowhere, "PYTHONPATH": path, "SOURCE_DATE_EPOCH": moment}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process and whatever it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with contextlib.suppress(OSError):
            self._in.close()
        self._out.close()

    def send(self, value: dict[str, Any]) -> None:
        """Send one mapping.

        Raises:
            TemplateError: The data is over ``templates.max_data``, or the process is gone.
        """
        line = msgspec.json.encode(value)
        self._sent += len(line)
        if self._sent > self._limits.max_data:
            raise TemplateError(
                f"template {self._name!r}: the data is over {self._limits.max_data} bytes "
                "(templates.max_data); formats without a template take any number of records"
            )
        self._waiting += line
        self._waiting += b"\n"
        if len(self._waiting) > _BLOCK:
            self._pass_on()

    def end(self) -> None:
        """Say that everything is sent."""
        self._pass_on()
        with contextlib.suppress(OSError):
            self._in.close()

    def _pass_on(self) -> None:
        data, self._waiting = bytes(self._waiting), bytearray()
        self._write(data)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._look()
            try:
                view = view[os.write(self._in.fileno(), view) :]
            except BlockingIOError:
                select.select([], [self._in], [], _LOOK)
            except BrokenPipeError:
                self._fail()

    def blocks(self) -> Iterator[bytes]:
        """Yield what the engine made.

        Raises:
            TemplateError: It failed, or was ended by its limits.
            MissingExtraError: The engine's library is not installed.
        """
        while True:
            kind, size = HEAD.unpack(self._read(HEAD.size))
            if kind == DONE:
                return
            body = self._read(size)
            if kind == DATA:
                yield body
                continue
            text = body.decode("utf-8", "replace")
            if kind == MISSING:
                raise MissingExtraError(text)
            raise TemplateError(f"template {self._name!r}: {text}")

    def _fail(self) -> None:
        """Raise what the process has to say for its end."""
        for _ in self.blocks():
            pass
        raise TemplateError(f"template {self._name!r}: its process took no data")

    def _read(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            self._look()
            if not select.select([self._out], [], [], _LOOK)[0]:
                continue
            block = os.read(self._out.fileno(), size - len(found))
            if not block:
                raise self._ended()
            found += block
        return bytes(found)

    def _look(self) -> None:
        self._check()
        if time.monotonic() > self._until:
            raise TemplateError(
                f"template {self._name!r} took longer than {self._limits.timeout:g} seconds "
                "(templates.timeout)"
            )

    def _ended(self) -> TemplateError:
        code = self._process.wait()
        if code in {-signal.SIGXCPU, -signal.SIGKILL}:
            why = f"used more than {self._limits.timeout:g} seconds (templates.timeout)"
        elif code in {-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS}:
            why = f"used more than {self._limits.memory} bytes of memory (templates.memory)"
        else:
            why = f"ended its process with code {code}"
        return TemplateError(f"template {self._name!r} {why}")
