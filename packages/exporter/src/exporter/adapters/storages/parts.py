"""Files that are uploaded in parts while they are written, and appear with the last one."""

import threading
from abc import abstractmethod
from collections.abc import Iterator

from ...errors import StorageError
from ...ports import Writer
from .handoff import BrokenOff, Handoff

PART = 8 << 20  # ten thousand parts, which is all that S3 takes, are 80 GiB
NO_BUCKET = "the bucket does not exist"


class PartWriter(Writer):
    """Collects parts of 8 MiB; the second one begins an upload in a thread of its own."""

    def __init__(self, key: str) -> None:
        """Begin the file ``key``; nothing is sent yet."""
        self.key = key
        self._held, self._closed = bytearray(), False
        self._pipe = Handoff()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    @abstractmethod
    def put_whole(self, data: bytes) -> None:
        """Make a file of at most one part visible at once.

        Raises:
            StorageError: The store refused it.
        """

    @abstractmethod
    def put_parts(self, parts: Iterator[bytes]) -> None:
        """Upload ``parts``, all but the last of full size; make the file visible at their end.

        If taking a part fails, nothing may become visible.

        Raises:
            StorageError: The store refused a part.
        """

    def write(self, data: bytes) -> None:
        if self._closed:
            raise StorageError("the writer is closed")
        self._held += data
        while len(self._held) > PART:
            part = bytes(self._held[:PART])
            del self._held[:PART]
            self._hand_over(part)

    def _hand_over(self, part: bytes) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._upload, name=f"upload-{self.key}", daemon=True
            )
            self._thread.start()
        try:
            self._pipe.put(part)
        except BrokenOff:
            self._join()

    def _upload(self) -> None:
        try:
            self.put_parts(iter(self._pipe))
        except BaseException as exc:  # noqa: BLE001  raised where the file is written
            self._error = exc
            self._pipe.break_off()

    def _join(self) -> None:
        assert self._thread is not None
        self._thread.join()
        if self._error is not None:
            self._closed = True
            raise self._error

    def commit(self) -> None:
        if self._closed:
            raise StorageError("the writer is closed")
        rest, self._held = bytes(self._held), bytearray()
        if self._thread is None:
            self.put_whole(rest)
        else:
            self._hand_over(rest)
            self._pipe.complete()
            self._join()
        self._closed = True

    def abort(self) -> None:
        if not self._closed:
            self._closed, self._held = True, bytearray()
            self._pipe.break_off()
            if self._thread is not None:
                self._thread.join()
