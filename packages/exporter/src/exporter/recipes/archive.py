"""A ZIP that is written once, from its first byte to its last."""

import zipfile
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import IO, cast

from ..sink import Sink

_STORED = frozenset({"docx", "xlsx", "pdf", "zip", "png", "jpg", "gz", "parquet"})
# of text, half the time of zlib's usual level for some percent more bytes
_LEVEL = 3
_BLOCK, _LARGE = 1 << 16, 1 << 31


class Archive:
    """Takes whole files; their dates are fixed, so that the same files give the same bytes."""

    def __init__(self, sink: Sink, now: datetime) -> None:
        """Write to ``sink``."""
        self._stream = _Stream(sink)
        # zipfile asks for no more of a file that cannot seek
        self._zip = zipfile.ZipFile(cast("IO[bytes]", self._stream), "w", compresslevel=_LEVEL)
        moment = now.astimezone(UTC).timetuple()[:6]
        self._moment = max(moment, (1980, 1, 1, 0, 0, 0))

    def add(self, name: str, size: int, blocks: Iterable[bytes]) -> None:
        """Write one file of ``size`` bytes."""
        info = self._info(name)
        with self._zip.open(info, "w", force_zip64=size > _LARGE) as target:
            for block in blocks:
                target.write(block)

    def add_whole(self, name: str, data: bytes) -> None:
        """Write one file that is in memory, at once: its sizes stand before it."""
        info = self._info(name)
        info.CRC, info.file_size = zlib.crc32(data), len(data)
        if info.compress_type == zipfile.ZIP_DEFLATED:
            packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
            data = packer.compress(data) + packer.flush()
        info.compress_size, info.header_offset = len(data), self._stream.tell()
        self._stream.write(info.FileHeader(zip64=False))
        self._stream.write(data)
        # what the directory at the end is made of
        self._zip.filelist.append(info)
        self._zip.NameToInfo[info.filename] = info
        self._zip.start_dir = self._stream.tell()

    def _info(self, name: str) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(name, self._moment)
        packed = name.rpartition(".")[2].lower() in _STORED
        info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
        info._compresslevel = _LEVEL  # type: ignore[attr-defined]  # noqa: SLF001  no public name before 3.13
        info.create_system, info.external_attr = 3, 0o600 << 16
        return info

    def close(self) -> None:
        """Write the directory at the end."""
        self._zip.close()
        self._stream.pass_on()


class _Stream:
    """What zipfile takes for an unseekable file; passes its many small writes on in blocks."""

    def __init__(self, sink: Sink) -> None:
        self._sink, self._held, self._length, self._at = sink, list[bytes](), 0, 0

    def write(self, data: bytes) -> int:
        length = len(data)
        self._held.append(data)
        self._length += length
        self._at += length
        if self._length > _BLOCK:
            self.pass_on()
        return length

    def pass_on(self) -> None:
        self._sink.write(b"".join(self._held))
        self._held.clear()
        self._length = 0

    def tell(self) -> int:
        return self._at

    def seek(self, *_: int) -> int:
        raise OSError("a stream")

    def flush(self) -> None:
        """Leave blocks as they are."""
