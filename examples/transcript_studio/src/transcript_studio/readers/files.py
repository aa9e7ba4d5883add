"""From a file to a transcript: size, encoding, choice of the parser, bounds of the result."""

import codecs
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ..errors import UnreadableFile
from ..names import TRANSCRIPTS, UNKNOWN_LANGUAGE, language_hint, safe_title, suffix_of
from ..transcript import Transcript
from .parsed import Parsed, bounded
from .plain import parse_text
from .subtitles import parse_srt, parse_vtt
from .whisper_json import parse_json

MAX_TRANSCRIPT_BYTES: Final = 20_000_000

_PARSERS: Final[dict[str, Callable[[str], Parsed]]] = {
    ".srt": parse_srt,
    ".vtt": parse_vtt,
    ".txt": parse_text,
    ".json": parse_json,
}


def read_transcript(path: Path, *, name: str = "") -> Transcript:
    """Read the transcript file at ``path``.

    Args:
        path: Where the file lies.
        name: What its owner calls it, if that differs; gives kind, title and language.

    Raises:
        UnreadableFile: It is missing, empty, too large, or not a transcript of a known kind.
    """
    name = name or path.name
    suffix = suffix_of(name)
    title = safe_title(name)
    if suffix not in _PARSERS:
        kinds = ", ".join(sorted(TRANSCRIPTS))
        raise UnreadableFile(f"{title!r} is of kind {suffix!r}; transcripts are {kinds}")
    try:
        parsed = _PARSERS[suffix](_decode(_read(path)))
        segments = tuple(sorted(bounded(parsed.segments), key=lambda segment: segment.start))
    except UnreadableFile as exc:
        raise UnreadableFile(f"{title!r} cannot be read as {suffix[1:]}: {exc}") from exc
    language = parsed.language or language_hint(name)
    duration = max([parsed.duration, *(segment.end for segment in segments)])
    return Transcript(
        parsed.title or title, language or UNKNOWN_LANGUAGE, segments, duration, suffix[1:]
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TRANSCRIPT_BYTES + 1)
    except OSError as exc:
        raise UnreadableFile(f"it cannot be opened ({exc.strerror})") from exc
    if not data.strip():
        raise UnreadableFile("it is empty; upload it again")
    if len(data) > MAX_TRANSCRIPT_BYTES:
        raise UnreadableFile(f"it has more than {MAX_TRANSCRIPT_BYTES // 1_000_000} MB; split it")
    return data


def _decode(data: bytes) -> str:
    text = _decode_any(data)
    if "\0" in text:
        raise UnreadableFile("it is not text; save it as UTF-8 text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decode_any(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")  # what older Windows programs write
