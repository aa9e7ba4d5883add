"""Rendering in worker processes: the thread of a job loads and stores, a process computes."""

import os
import pickle
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..children import ChildEnded, ChildProcess
from ..documents import Document, Item, Record
from ..engine import Order, Produced, Resolve, produce, records_of
from ..errors import ExportError
from ..sink import Control
from ..templates import DocumentTemplate

ORDER, RECORDS, END = b"O", b"R", b"Z"
BLOCK, ANSWER = b"D", b"A"
_BATCH = 64


class ProcessPool:
    """Worker processes, as many as there are jobs at once; safe for threads.

    A worker renders one document after the other, and is replaced when it has died, was stopped in
    the middle, or has grown over ``memory`` bytes. What cannot go to another process is rendered in
    the calling thread: formats of one function, classes of ``__main__``, documents with objects
    that cannot be pickled; so are templates of documents, which have a process of their own.
    """

    def __init__(self, memory: int) -> None:
        """Start nothing yet."""
        self._memory = memory
        self._forget()

    def _forget(self) -> None:
        self._idle: list[ChildProcess] = []
        self._lock, self._pid, self._closed = threading.Lock(), os.getpid(), False

    def produce(
        self,
        order: Order,
        document: Document,
        items: Iterable[Item],
        write: Callable[[bytes], object],
        control: Control,
        *,
        resolve: Resolve,
        data: Mapping[str, Any] | None = None,
    ) -> Produced:
        """Render as :func:`exporter.engine.produce` does.

        Raises:
            ExportError: As there; ``worker_lost`` if the worker died.
        """
        head = _packed(order, document)
        if head is None:
            return produce(order, document, items, write, control, resolve=resolve, data=data)
        worker = self._taken()
        usable = False
        try:
            worker.look = control.check
            made, error, size = _Task(worker, write, control).run(head, document, items)
            usable = size <= self._memory
        except ChildEnded as exc:
            raise ExportError(
                "the process that rendered the export is gone", reason="worker_lost"
            ) from exc
        finally:
            self._back(worker, usable=usable)
        if error is not None:
            raise error
        assert made is not None
        return made

    def pids(self) -> list[int]:
        """Return the workers that wait for work."""
        with self._lock:
            return [worker.pid for worker in self._idle]

    def close(self) -> None:
        """End the workers that wait; those at work end with their jobs."""
        with self._lock:
            idle, self._idle, self._closed = self._idle, [], True
        for worker in idle:
            worker.kill()

    def _taken(self) -> ChildProcess:
        if self._pid != os.getpid():
            self._forget()  # after a fork: the workers are the parent's
        with self._lock:
            self._closed = False
            while self._idle:
                worker = self._idle.pop()
                if worker.is_alive:
                    return worker
                worker.kill()
        return ChildProcess("exporter.running.worker", os.environ)

    def _back(self, worker: ChildProcess, *, usable: bool) -> None:
        with self._lock:
            if usable and not self._closed and worker.is_alive:
                self._idle.append(worker)
                return
        worker.kill()


class _Task:
    """One document on its way through a worker."""

    def __init__(
        self, worker: ChildProcess, write: Callable[[bytes], object], control: Control
    ) -> None:
        self._worker, self._write, self._control = worker, write, control
        self._answer: bytes | None = None

    def run(
        self, head: bytes, document: Document, items: Iterable[Item]
    ) -> tuple[Produced | None, Exception | None, int]:
        """Return what was produced, or what the worker raised; and its memory in bytes."""
        self._worker.send(ORDER, head, self._got)
        batch: list[Record] = []
        for record in records_of(document, items, self._control):
            batch.append(record)
            if len(batch) >= _BATCH:
                self._worker.send(RECORDS, pickle.dumps(batch), self._got)
                batch = []
            if self._answer is not None:
                break  # a renderer that failed, or a template that wants no records
        self._worker.send(RECORDS, pickle.dumps(batch), self._got)
        self._worker.send(END, b"", self._got)
        while self._answer is None:
            self._got(*self._worker.receive())
        made, error, warnings, size = pickle.loads(self._answer)  # noqa: S301  our worker wrote it
        self._control.warnings.update(warnings)
        return made, error, size

    def _got(self, kind: bytes, body: bytes) -> None:
        if kind == BLOCK:
            self._write(body)
            self._control.size += len(body)
        else:
            self._answer = body


def _packed(order: Order, document: Document) -> bytes | None:
    """Return what the worker needs beside the records; None if it cannot be sent."""
    renderer = order.format.renderer
    if order.format.export is not None or isinstance(order.template, DocumentTemplate):
        return None  # needs the event loop; has a process of its own
    if renderer is not None and renderer.__module__ == "__main__":
        return None  # is another module there
    try:
        return pickle.dumps((order, replace(document, records=())))
    except Exception:  # noqa: BLE001  a user's object may raise anything here
        return None
