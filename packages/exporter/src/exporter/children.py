"""Child processes of our own: frames both ways over pipes, no wait that cannot be ended."""

import contextlib
import os
import select
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import IO

_LOOK, _PATIENCE = 0.05, 2.0
HEAD = struct.Struct(">cI")


class ChildProcess:
    """A module of this package as a process; used by one thread at a time.

    While it waits, it calls ``look``, which may raise. ``kill`` must be called in any case.
    """

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        """Start ``python -m module`` in a session of its own, with our module search path.

        Args:
            module: The module to run.
            environment: Everything that it finds in its environment.
        """
        path = os.pathsep.join(each for each in sys.path if each)
        self._process = subprocess.Popen(  # noqa: S603  nothing of it comes from outside
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**environment, "PYTHONPATH": path},
            start_new_session=True,  # with what it may start, it is ended as one group
            cwd="/",
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        for pipe in (self._in, self._out):
            os.set_blocking(pipe.fileno(), False)
        self._held, self._pid = bytearray(), os.getpid()
        self.look: Callable[[], None] = lambda: None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs, and is a child of this very process."""
        return self._pid == os.getpid() and self._process.poll() is None

    def send(self, kind: bytes, body: bytes, received: Callable[[bytes, bytes], None]) -> None:
        """Send a frame; ``received`` gets the frames that come meanwhile.

        Raises:
            ChildEnded: The process has closed its input.
        """
        view = memoryview(HEAD.pack(kind, len(body)) + body)
        while view:
            self.look()
            try:
                view = view[os.write(self._in.fileno(), view) :]
                continue
            except BlockingIOError:
                ready = select.select([self._out], [self._in], [], _LOOK)[0]
            except BrokenPipeError as exc:
                raise ChildEnded from exc
            if ready and (frame := self._frame()) is not None:
                received(*frame)

    def receive(self) -> tuple[bytes, bytes]:
        """Return the next frame.

        Raises:
            ChildEnded: There is none: the process has ended.
        """
        while True:
            if (frame := self._cut()) is not None:
                return frame
            self.look()
            if select.select([self._out], [], [], _LOOK)[0]:
                self._fill()

    def _frame(self) -> tuple[bytes, bytes] | None:
        if (frame := self._cut()) is None:
            self._fill()
            frame = self._cut()
        return frame

    def _fill(self) -> None:
        with contextlib.suppress(BlockingIOError):
            block = os.read(self._out.fileno(), 1 << 18)
            if not block:
                raise ChildEnded
            self._held += block

    def _cut(self) -> tuple[bytes, bytes] | None:
        if len(self._held) < HEAD.size:
            return None
        kind, size = HEAD.unpack_from(self._held)
        if len(self._held) < HEAD.size + size:
            return None
        body = bytes(self._held[HEAD.size : HEAD.size + size])
        del self._held[: HEAD.size + size]
        return kind, body

    def code(self) -> int:
        """Return the exit code of a process that has closed its output; negative for signals."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(_PATIENCE)
        self.kill()
        return -signal.SIGKILL

    def kill(self) -> None:
        """End the process and whatever it started; in a fork of the parent only let go of it."""
        if self._pid == os.getpid():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for pipe in (self._in, self._out):
            with contextlib.suppress(OSError):
                pipe.close()


class ChildEnded(Exception):
    """The process has ended, or will not answer any more."""


def write_frame(out: IO[bytes], kind: bytes, body: bytes) -> None:
    """Write a frame; in the child."""
    out.write(HEAD.pack(kind, len(body)) + body)
    out.flush()


def read_frame(source: IO[bytes]) -> tuple[bytes, bytes]:
    """Return the next frame; in the child.

    Raises:
        EOFError: The parent has gone.
    """
    head = source.read(HEAD.size)
    if len(head) < HEAD.size:
        raise EOFError
    kind, size = HEAD.unpack(head)
    body = source.read(size)
    if len(body) < size:
        raise EOFError
    return kind, body


def pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Return input and output; in the child, once. What libraries print goes elsewhere."""
    source, out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return source, out
