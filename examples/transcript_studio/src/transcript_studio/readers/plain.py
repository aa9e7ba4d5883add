"""Plain text: a paragraph a line, perhaps with ``[00:01:02]`` and ``Name:`` in front.

Text knows no times. Where none are given they are estimated at 150 words a minute, so that segments
have an order and subtitles can be made of them.
"""

import re
from collections.abc import Iterator
from typing import Final

from ..errors import UnreadableFile
from ..names import tidy
from ..transcript import Segment
from .parsed import Parsed, seconds
from .subtitles import label_speakers

_SECONDS_PER_WORD: Final = 60 / 150
_STAMP: Final = re.compile(
    r"[\[(]?(?:(\d{1,3}):)?(\d{1,2}):(\d{2})(?:[.,]\d{1,3})?[\])]?\s+", re.ASCII
)
_SENTENCE_END: Final = re.compile(r"(?<=[.!?…])\s+")


def parse_text(text: str) -> Parsed:
    """Parse plain text; each sentence becomes a segment."""
    segments = list(label_speakers(_paragraphs(text)))
    if not segments:
        raise UnreadableFile("it holds no text")
    return Parsed(_sentences(segments))


def _paragraphs(text: str) -> Iterator[Segment]:
    clock = 0.0
    for line in text.splitlines():
        stamp = _STAMP.match(line)
        if stamp:
            hours, minutes, whole = (int(group or 0) for group in stamp.groups())
            clock = seconds(hours * 3600 + minutes * 60 + whole)
        if words := tidy(line[stamp.end() :] if stamp else line):
            end = clock + _spoken(words)
            yield Segment(clock, end, words)
            clock = end


def _sentences(paragraphs: list[Segment]) -> Iterator[Segment]:
    for paragraph in paragraphs:
        clock = paragraph.start
        for sentence in _SENTENCE_END.split(paragraph.text):
            end = clock + _spoken(sentence)
            yield Segment(round(clock, 3), round(end, 3), sentence, paragraph.speaker)
            clock = end


def _spoken(text: str) -> float:
    return (text.count(" ") + 1) * _SECONDS_PER_WORD
