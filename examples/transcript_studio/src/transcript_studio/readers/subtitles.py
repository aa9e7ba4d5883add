"""SRT and WebVTT, as programs and people write them.

Accepted beside the standards: missing numbers and blank lines, ``.`` for ``,``, times without
hours, ends before starts, unknown tags. Speakers come from WebVTT's ``<v Name>``, else from a
leading ``Name:`` that more than one cue has. WebVTT: https://www.w3.org/TR/webvtt1/
"""

import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ..errors import UnreadableFile
from ..names import tidy
from ..transcript import Segment
from .parsed import Parsed, bounded, seconds

_TIME: Final = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})(?:[,.](\d{1,3}))?"
_TIMING: Final = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?", re.ASCII)
_VOICE: Final = re.compile(r"<v(?:\.[^\s<>]*)?\s([^<>]*)>")
_TAG: Final = re.compile(r"</?[a-z][^<>]*>|<\d[\d:.]*>|\{\\[^{}]*\}", re.IGNORECASE | re.ASCII)
_LABEL: Final = re.compile(r"([^\W\d_][\w .'-]{0,39}):\s+(?=\S)")
_LANGUAGE: Final = re.compile(r"language:\s*([a-z]{2,3})\b", re.IGNORECASE | re.ASCII)


@dataclass(slots=True)
class _Cue:
    start: float
    end: float
    lines: list[str] = field(default_factory=list)


def parse_srt(text: str) -> Parsed:
    """Parse SubRip subtitles."""
    return Parsed(label_speakers(_segments(text)))


def parse_vtt(text: str) -> Parsed:
    """Parse WebVTT; a ``Language:`` line in its header gives the language."""
    header = text[:2000].split("\n\n", 1)[0]
    language = _LANGUAGE.search(header)
    segments = label_speakers(_segments(text))
    return Parsed(segments, language[1].lower() if language else "")


def label_speakers(unlabelled: Iterable[Segment]) -> Iterator[Segment]:
    """Move a leading ``Name:`` from text to speaker, if that name leads at least two segments."""
    segments = list(bounded(unlabelled))
    found = [None if segment.speaker else _LABEL.match(segment.text) for segment in segments]
    names = Counter(label[1] for label in found if label)
    for segment, label in zip(segments, found, strict=True):
        if label and names[label[1]] > 1:
            yield replace(segment, speaker=label[1].strip(), text=segment.text[label.end() :])
        else:
            yield segment


def _segments(text: str) -> Iterator[Segment]:
    empty = True
    for cue in _cues(text):
        empty = False
        yield from _voices(cue)
    if empty:
        raise UnreadableFile("no cue of the form '00:00:01,000 --> 00:00:02,000' was found")


def _cues(text: str) -> Iterator[_Cue]:
    cue: _Cue | None = None
    for line in text.splitlines():
        if timing := _TIMING.fullmatch(line):
            if cue:
                yield _without_next_number(cue)
            start, end = _seconds(timing.groups()[:4]), _seconds(timing.groups()[4:])
            cue = _Cue(start, max(start, end))
        elif cue and line.strip():
            cue.lines.append(line)
        elif cue and cue.lines:
            yield cue
            cue = None
    if cue:
        yield cue


def _without_next_number(cue: _Cue) -> _Cue:
    # No blank line before the next cue: its number was taken for text of this one.
    if cue.lines and cue.lines[-1].strip().isdecimal():
        cue.lines.pop()
    return cue


def _voices(cue: _Cue) -> Iterator[Segment]:
    parts = _VOICE.split(" ".join(cue.lines))
    for name, said in zip(["", *parts[1::2]], parts[0::2], strict=True):
        if words := _plain(said):
            yield Segment(cue.start, cue.end, words, _plain(name))


def _plain(text: str) -> str:
    return tidy(html.unescape(_TAG.sub("", text)))


def _seconds(groups: Sequence[str | None]) -> float:
    hours, minutes, whole, fraction = groups
    parts = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(whole or 0)
    return seconds(parts + int((fraction or "0").ljust(3, "0")) / 1000)
