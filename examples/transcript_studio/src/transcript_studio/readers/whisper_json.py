"""The JSON of Whisper and its relatives, and the studio's own.

One set of fields fits openai-whisper, faster-whisper, WhisperX, the OpenAI API's ``verbose_json``
and `Transcript.to_json`: all have ``segments``. whisper.cpp has ``transcription`` with
milliseconds.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from ..errors import UnreadableFile
from ..names import tidy
from ..transcript import Segment, Word
from .parsed import Parsed, bounded, seconds


class _Word(msgspec.Struct):
    word: str | None = None
    text: str | None = None  # what some programs call it
    start: float | None = None
    end: float | None = None


class _Offsets(msgspec.Struct):
    start: float = msgspec.field(name="from", default=0.0)
    end: float = msgspec.field(name="to", default=0.0)


class _Segment(msgspec.Struct):
    text: str = ""
    start: float | None = None
    end: float | None = None
    speaker: str | int | None = None
    words: list[_Word] | None = None
    offsets: _Offsets | None = None


class _Document(msgspec.Struct):
    segments: list[_Segment] | None = None
    transcription: list[_Segment] | None = None
    language: str | None = None
    result: dict[str, Any] | None = None
    title: str | None = None
    duration: float | None = None


def parse_json(text: str) -> Parsed:
    """Parse JSON with ``segments`` (or ``transcription``), or a bare list of segments."""
    document = _document(text)
    segments = document.segments if document.segments is not None else document.transcription
    if segments is None:
        raise UnreadableFile("it has no 'segments'; save Whisper's output with segments")
    return Parsed(
        segments=(made for made in bounded(map(_segment, segments)) if made.text),
        language=_language(document),
        title=tidy(document.title or "")[:120],
        duration=seconds(document.duration),
    )


def _document(text: str) -> _Document:
    try:
        if text.lstrip().startswith("["):
            return _Document(segments=msgspec.json.decode(text, type=list[_Segment]))
        return msgspec.json.decode(text, type=_Document)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        raise UnreadableFile(f"it is not Whisper's JSON ({exc})") from exc


def _language(document: _Document) -> str:
    named = document.language or (document.result or {}).get("language")
    return _CODES.get(code := tidy(str(named or "")).lower()[:20], code)


def _segment(found: _Segment) -> Segment:
    start, end = seconds(found.start), seconds(found.end)
    if found.offsets:
        start, end = seconds(found.offsets.start / 1000), seconds(found.offsets.end / 1000)
    speaker = "" if found.speaker is None else tidy(str(found.speaker))
    words = tuple(_words(found.words or [], start, end))
    return Segment(start, max(start, end), tidy(found.text), speaker, words)


def _words(words: list[_Word], start: float, end: float) -> Iterator[Word]:
    clock = start  # WhisperX leaves out the times of numbers: they begin where the last word ended
    for word in words:
        if text := tidy(word.word or word.text or ""):
            begin = seconds(word.start, clock)
            clock = max(begin, seconds(word.end, begin))
            yield Word(text, begin, min(clock, max(end, begin)))


# The OpenAI API names the language in English.
_CODES = {"english": "en", "german": "de", "french": "fr", "spanish": "es", "italian": "it"}
