"""WAV files of any common kind as 16 kHz, mono, 16 bit: what speech recognisers take.

Headers are parsed here, as the standard library's `wave` knows neither float samples nor, before
Python 3.12, the extensible header that most programs write for 24 bit. Everything is read a second
at a time, so the length of a recording does not matter.
"""

import struct
import sys
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from .errors import UnreadableFile

SAMPLE_RATE: Final = 16_000
SAMPLE_BYTES: Final = 2
MAX_RECORDING_BYTES: Final = 500_000_000  # four hours at 16 kHz, 47 minutes of a CD's format

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_CODECS: Final = {2: "ADPCM", 6: "A-law", 7: "mu-law", 17: "IMA ADPCM", 49: "GSM", 85: "MP3"}
_RATES: Final = range(8_000, 192_001)
_REMEDY: Final = "convert it with: ffmpeg -i INPUT -ac 1 -ar 16000 -c:a pcm_s16le OUTPUT.wav"


@dataclass(frozen=True, slots=True)
class WavInfo:
    """What the header of a WAV file says, checked against the file's true size."""

    encoding: tuple[int, int]
    channels: int
    rate: int
    offset: int
    frames: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * self.encoding[1] // 8

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames / self.rate


def inspect_wav(path: Path, name: str = "") -> WavInfo:
    """Read and check the header of the WAV file at ``path``; messages call it ``name``.

    Raises:
        UnreadableFile: It is missing, empty, too large, not a WAV file, or of a kind not taken.
    """
    name = name or path.name
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            return _inspect(file, size, name)
    except OSError as exc:
        raise UnreadableFile(f"{name!r} cannot be opened: {exc.strerror}") from exc


def read_pcm(path: Path, info: WavInfo) -> Iterator[bytes]:
    """Yield the audio of ``path`` a second at a time, as 16 kHz, mono, 16 bit little-endian PCM."""
    as_samples = _DECODERS[info.encoding]
    with path.open("rb") as file:
        file.seek(info.offset)
        left = info.frames
        while left > 0 and (data := file.read(min(left, info.rate) * info.frame_bytes)):
            left -= info.rate
            data = data[: len(data) - len(data) % info.frame_bytes]
            samples = _resample(_mix(as_samples(data), info.channels), info.rate)
            yield _little_endian(samples).tobytes()


def _inspect(file: BinaryIO, size: int, name: str) -> WavInfo:
    if size == 0:
        raise UnreadableFile(f"{name!r} is empty (0 bytes); upload it again")
    if size > MAX_RECORDING_BYTES:
        limit = f"{MAX_RECORDING_BYTES // 1_000_000} MB"
        raise UnreadableFile(f"{name!r} has more than {limit}; split it, or {_REMEDY}")
    riff = file.read(12)
    if riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
        raise UnreadableFile(f"{name!r} is not a WAV file, whatever its name says; {_REMEDY}")
    return _read_chunks(file, size, name)


def _read_chunks(file: BinaryIO, size: int, name: str) -> WavInfo:
    layout: tuple[tuple[int, int], int, int] | None = None
    while len(head := file.read(8)) == 8:
        kind, length = head[:4], int.from_bytes(head[4:], "little")
        if kind == b"fmt ":
            layout = _read_format(file.read(min(length, 40)), name)
            length -= min(length, 40)
        elif kind == b"data" and layout:
            return _with_data(*layout, file.tell(), min(length, size - file.tell()), name)
        file.seek(length + length % 2, 1)
    raise UnreadableFile(
        f"{name!r} is a WAV file without audio: cut off, or damaged; record it again"
    )


def _read_format(fmt: bytes, name: str) -> tuple[tuple[int, int], int, int]:
    if len(fmt) < 16:
        raise UnreadableFile(f"{name!r} has a damaged WAV header; {_REMEDY}")
    codec, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", fmt)
    if codec == _EXTENSIBLE and len(fmt) >= 26:
        codec = struct.unpack_from("<H", fmt, 24)[0]
    if (codec, bits) not in _DECODERS:
        kind = _CODECS.get(codec, f"codec {codec}, {bits} bit")
        raise UnreadableFile(f"{name!r} holds {kind} audio, which is not supported; {_REMEDY}")
    if rate not in _RATES or not 1 <= channels <= 8:
        raise UnreadableFile(f"{name!r} states {channels} channels at {rate} Hz; {_REMEDY}")
    return (codec, bits), channels, rate


def _with_data(
    encoding: tuple[int, int], channels: int, rate: int, offset: int, length: int, name: str
) -> WavInfo:
    frames = length // (channels * encoding[1] // 8)
    if frames <= 0:
        raise UnreadableFile(f"{name!r} is a WAV file without audio; record it again")
    return WavInfo(encoding, channels, rate, offset, frames)


def _from_8_bit(data: bytes) -> "array[int]":
    wide = bytearray(2 * len(data))
    wide[1::2] = data.translate(_UNSIGNED_TO_SIGNED)
    return _from_16_bit(bytes(wide))


def _from_16_bit(data: bytes) -> "array[int]":
    return _little_endian(array("h", data))


def _from_wide(width: int) -> Callable[[bytes], "array[int]"]:
    def convert(data: bytes) -> "array[int]":
        upper = bytearray(2 * (len(data) // width))
        upper[0::2], upper[1::2] = data[width - 2 :: width], data[width - 1 :: width]
        return _from_16_bit(bytes(upper))

    return convert


def _from_float(data: bytes) -> "array[int]":
    # min() comes first: it turns a NaN into 1.0, which int() can take.
    values = struct.unpack(f"<{len(data) // 4}f", data)
    return array("h", [int(32767 * max(-1.0, min(1.0, value))) for value in values])


def _mix(samples: "array[int]", channels: int) -> "array[int]":
    if channels == 1:
        return samples
    tracks = (samples[channel::channels] for channel in range(channels))
    return array("h", [sum(frame) // channels for frame in zip(*tracks, strict=True)])


def _resample(samples: "array[int]", rate: int) -> "array[int]":
    """Bring one second (or the last part of one) to 16 kHz by linear interpolation."""
    if rate == SAMPLE_RATE:
        return samples
    count = len(samples) * SAMPLE_RATE // rate
    if not any(samples):
        return array("h", bytes(SAMPLE_BYTES * count))
    samples.append(samples[-1])
    places = (divmod(index * rate, SAMPLE_RATE) for index in range(count))
    return array(
        "h",
        [samples[i] + (samples[i + 1] - samples[i]) * part // SAMPLE_RATE for i, part in places],
    )


def _little_endian(samples: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


_UNSIGNED_TO_SIGNED: Final = bytes((value - 128) % 256 for value in range(256))
_DECODERS: Final = {
    (_PCM, 8): _from_8_bit,
    (_PCM, 16): _from_16_bit,
    (_PCM, 24): _from_wide(3),
    (_PCM, 32): _from_wide(4),
    (_FLOAT, 32): _from_float,
}
