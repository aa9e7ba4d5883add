"""WAV files for tests: any header, any samples; and the word error rate."""

import re
import struct
import wave
from pathlib import Path

import transcript_studio

SAMPLES = Path(transcript_studio.__file__).parent / "samples"


def read_samples(path):
    with wave.open(str(path), "rb") as file:
        data = file.readframes(file.getnframes())
    return struct.unpack(f"<{len(data) // 2}h", data)


def wav(data, *, codec=1, channels=1, rate=16_000, bits=16, extensible=False, extra=b""):
    """Return a WAV file with ``data`` as its samples."""
    frame = channels * bits // 8
    tag = 0xFFFE if extensible else codec
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits)
    if extensible:
        fmt += struct.pack("<HHIH", 22, bits, 0, codec) + bytes(14)
    body = b"WAVE" + extra + b"fmt " + struct.pack("<I", len(fmt)) + fmt
    body += b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def word_error_rate(reference, heard):
    """Return substitutions, insertions and deletions per word of the reference."""
    expected, found = (re.findall(r"[a-z']+", text.lower()) for text in (reference, heard))
    row = list(range(len(found) + 1))
    for number, word in enumerate(expected, 1):
        diagonal, row[0] = row[0], number
        for place, other in enumerate(found, 1):
            step = min(row[place] + 1, row[place - 1] + 1, diagonal + (word != other))
            diagonal, row[place] = row[place], step
    return row[-1] / len(expected)
