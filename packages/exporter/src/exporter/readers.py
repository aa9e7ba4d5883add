"""Transcripts and tables from files: JSON (ours, Whisper's, WhisperX's), SRT, VTT, CSV."""

import dataclasses
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from html import unescape
from pathlib import Path
from typing import Any

import msgspec

from .documents import Document, Segment, Table
from .errors import InvalidSource, StorageError
from .sources import to_document
from .texts import FORMULA

_MAX_BYTES = 1 << 29
_TIMES = re.compile(
    r"^\s*((?:\d+:)?\d{1,2}:\d{1,2}[.,]\d{1,3})\s*-->\s*((?:\d+:)?\d{1,2}:\d{1,2}[.,]\d{1,3})",
    re.ASCII,
)
_VOICE = re.compile(r"<v(?:\.[^ \t>]*)?[ \t]+([^>]*)>")
_TAG = re.compile(r"</?[^>]*>")
# how others mark looks and places in SRT; a text that says so itself is written with a gap
_LOOKS = re.compile(
    r"</?(?:[bius]|font|em|strong)(?:\s[^<>\n]*)?>|\{\\[^{}\n]*\}", re.ASCII | re.IGNORECASE
)
_CUE_NUMBER = re.compile(r"\s*\d+\s*", re.ASCII)
_GUARD = re.compile(rf"'(?={FORMULA}|[\t\r\n])")


def read_document(path: str | os.PathLike[str], format: str | None = None) -> Document:
    """Return the document in a file.

    Args:
        path: The file, UTF-8 (with or without byte order mark), at most 512 MiB.
        format: ``json``, ``jsonl``, ``srt``, ``vtt`` or ``csv``; by its extension if None. JSON may
            be ours, Whisper's or WhisperX's.

    Raises:
        StorageError: The file cannot be read.
        InvalidSource: It is not what its format says.
    """
    file = Path(path)
    name = (format or file.suffix[1:]).lower()
    if name not in _READERS:
        known = ", ".join(sorted(_READERS))
        raise InvalidSource(f"cannot read {name or 'files without extension'!r}; known: {known}")
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except OSError as exc:
        raise StorageError(f"cannot read {str(file)!r}: {exc.strerror or exc}") from exc
    if len(data) > _MAX_BYTES:
        raise InvalidSource(f"{str(file)!r} is over {_MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise InvalidSource(f"{str(file)!r} is not UTF-8: byte {exc.start}") from exc
    made = _READERS[name](text)
    if made.title:
        return made
    return dataclasses.replace(made, title=file.stem.replace("_", " "))


def _json(text: str) -> Document:
    try:
        data = _decoded(text)
    except (ValueError, RecursionError) as exc:
        raise InvalidSource(f"not JSON: {str(exc)[:200]}") from exc
    if isinstance(data, list):
        timed = bool(data) and isinstance(data[0], Mapping) and "start" in data[0]
        data = {"segments" if timed else "rows": data}
    if not isinstance(data, Mapping):
        raise InvalidSource(f"JSON holds {type(data).__name__}, not an object or a list")
    inner = data.get("metadata")
    kind = inner.get("kind") if isinstance(inner, Mapping) else None
    if kind == "custom" and isinstance(data.get("data"), Mapping):
        return to_document("custom", data["data"])
    return to_document(kind if kind in {"transcript", "summary", "rag", "custom"} else "any", data)


def _decoded(text: str) -> Any:
    """Return what JSON says; lone surrogates and NaN too, which Python's own ``json`` writes."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text)


def _jsonl(text: str) -> Document:
    rows: list[Any] = []
    for number, row in enumerate(text.split("\n"), 1):
        if row.strip():
            try:
                rows.append(_decoded(row))
            except (ValueError, RecursionError) as exc:
                raise InvalidSource(f"line {number} is not JSON: {str(exc)[:200]}") from exc
    head: dict[str, Any] = {}
    if rows and isinstance(rows[0], Mapping) and set(rows[0]) == {"metadata"}:
        head = dict(rows.pop(0))
    kind = str((head.get("metadata") or {}).get("kind"))
    arrays = {"transcript": "segments", "summary": "sections", "rag": "citations"}
    timed = bool(rows) and isinstance(rows[0], Mapping) and "start" in rows[0]
    return to_document(
        kind or "any", {**head, arrays.get(kind, "segments" if timed else "rows"): rows}
    )


def _subtitles(text: str) -> Document:
    found = list(_cues(text.replace("\r\n", "\n").replace("\r", "\n").split("\n")))
    if not found and text.strip() not in {"", "WEBVTT"}:
        raise InvalidSource("no cues were found: a cue begins with 00:00:00,000 --> 00:00:01,000")
    return Document(kind="transcript", records=found, total=len(found))


def _cues(rows: list[str]) -> Iterator[Segment]:
    is_vtt = bool(rows) and rows[0].lstrip().startswith("WEBVTT")
    times: tuple[float, float] | None = None
    held: list[str] = []
    speaker: str | None = None
    for index, row in enumerate([*rows, "00:00:00.000 --> 00:00:00.000"]):
        found = _TIMES.match(row)
        if found is None:
            held.append(row)
            continue
        if times is not None:
            if index < len(rows) and len(held) > 1 and _CUE_NUMBER.fullmatch(held[-1]):
                held.pop()
            elif index < len(rows) and is_vtt and len(held) > 2 and not held[-2].strip():
                held.pop()  # a cue identifier
            text, named = _text(held, is_vtt=is_vtt)
            speaker = named if is_vtt else speaker
            yield Segment(text, times[0], times[1], speaker)
        times = (_seconds(found[1]), _seconds(found[2]))
        held = []


def _text(held: list[str], *, is_vtt: bool) -> tuple[str, str | None]:
    body: list[str] = []
    for row in held:
        if is_vtt and not row.strip() and body:
            break  # what follows a blank line is a NOTE or the next cue
        body.append(row)
    text = "\n".join(body).strip()
    if not is_vtt:
        text = _LOOKS.sub("", text)
        return text.replace("<\u00a0", "<").replace("{\u00a0\\", "{\\"), None
    voice = _VOICE.search(text)
    plain = unescape(_TAG.sub("", text))
    return plain, unescape(voice[1]).strip() if voice else None


def _seconds(text: str) -> float:
    parts = [float(part) for part in text.replace(",", ".").split(":")]
    total = 0.0
    for part in parts:
        total = total * 60 + part
    return round(total, 3)


def _csv(text: str) -> Document:
    import csv

    limit = csv.field_size_limit(_MAX_BYTES)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as exc:
        raise InvalidSource(f"not CSV: {exc}") from exc
    finally:
        csv.field_size_limit(limit)
    if not rows:
        return Document(records=[])
    head, body = rows[0], [row for row in rows[1:] if row]
    plain = [
        [_GUARD.sub("", cell, count=1) if cell[:1] == "'" else cell for cell in row] for row in body
    ]
    if bad := next((n for n, row in enumerate(plain, 2) if len(row) != len(head)), None):
        raise InvalidSource(f"line {bad} of the CSV has another number of cells than the first")
    if {"start", "end", "text"} <= set(head):
        segments = [dict(zip(head, row, strict=True)) for row in plain]
        # an empty cell is an unknown time or speaker
        return to_document("transcript", {"segments": [_known(each) for each in segments]})
    return Document(records=[Table(head, plain)], total=len(plain))


def _known(row: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in row.items() if value or key == "text"}


_READERS: dict[str, Callable[[str], Document]] = {
    "json": _json, "jsonl": _jsonl, "srt": _subtitles, "vtt": _subtitles, "csv": _csv,
}  # fmt: skip
