"""A process that renders one template: fed, watched, ended by force; nothing of it is left."""

import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import msgspec

from ..children import ChildEnded, ChildProcess
from ..errors import MissingExtraError, TemplateError
from ..settings import TemplateSettings

_BLOCK = 1 << 16
_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "FONTCONFIG_FILE", "FONTCONFIG_PATH")
JOB, RECORDS, RENDER = b"J", b"R", b"Z"
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
        self._name, self._sent, self._waiting = job.name, 0, bytearray()
        self._begun = False

    def __enter__(self) -> Self:
        """Start the process."""
        # nothing may fail between the start and the end of this method: who would end it?
        self._until = time.monotonic() + self._limits.timeout
        self.child = ChildProcess("exporter.templates.child", self._environment())
        self.child.look = self._look
        return self

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        # a proxy that is not there: where the network cannot be taken away, requests still fail
        nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
        return {**kept, **nowhere, "SOURCE_DATE_EPOCH": str(max(0, int(self._job.now)))}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process and whatever it started."""
        self.child.kill()

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

    def _pass_on(self) -> None:
        data, self._waiting = bytes(self._waiting), bytearray()
        if not self._begun:
            self._begun = True
            self._frame(JOB, msgspec.json.encode(self._job))
        self._frame(RECORDS, data)

    def _frame(self, kind: bytes, body: bytes) -> None:
        try:
            self.child.send(kind, body, self._answered)
        except ChildEnded:
            self._answered(*self._receive())  # what it has to say for its end
            raise TemplateError(f"template {self._name!r}: its process took no data") from None

    def blocks(self) -> Iterator[bytes]:
        """Render what was sent, and yield what the engine made.

        Raises:
            TemplateError: It failed, or was ended by its limits.
            MissingExtraError: The engine's library is not installed.
        """
        self._pass_on()
        self._frame(RENDER, b"")
        while True:
            kind, body = self._receive()
            if kind == DONE:
                return
            self._answered(kind, body)
            yield body

    def _receive(self) -> tuple[bytes, bytes]:
        try:
            return self.child.receive()
        except ChildEnded:
            raise self._ended() from None

    def _answered(self, kind: bytes, body: bytes) -> None:
        if kind == MISSING:
            raise MissingExtraError(body.decode("utf-8", "replace"))
        if kind == FAULT:
            raise TemplateError(f"template {self._name!r}: {body.decode('utf-8', 'replace')}")

    def _look(self) -> None:
        self._check()
        if time.monotonic() > self._until:
            raise TemplateError(
                f"template {self._name!r} took longer than {self._limits.timeout:g} seconds "
                "(templates.timeout)"
            )

    def _ended(self) -> TemplateError:
        code = self.child.code()
        if code in {-signal.SIGXCPU, -signal.SIGKILL}:
            why = f"used more than {self._limits.timeout:g} seconds (templates.timeout)"
        elif code in {-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS}:
            why = f"used more than {self._limits.memory} bytes of memory (templates.memory)"
        else:
            why = f"ended its process with code {code}"
        return TemplateError(f"template {self._name!r} {why}")
