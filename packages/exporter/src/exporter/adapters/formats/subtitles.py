"""SRT and WebVTT: cues that any player shows and no text can break."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from ...documents import Document, Record, Row, Section, Segment
from ...errors import InvalidSource
from ...ports import Renderer
from ...presentation import Speakers, facts_of, title_of
from ...settings import SubtitleSettings
from ...texts import clean, cue_time, line, millis, width

_STAMP = re.compile(r"(?:\d{0,4}:)?\d{1,2}:\d{1,2}[.,]\d{1,3}", re.ASCII)
_TAG = re.compile(r"<(?= */? *[A-Za-z])")
_LAST_NUMBER = re.compile(r"(?<=\n)(?= *\d+ *\Z)", re.ASCII)
_GAP = "\u00a0"
_SPEED = 15.0  # characters a second that people read: Netflix Timed Text Style Guide, 2023
_SRT_END = 100 * 3_600_000


@dataclass(slots=True)
class _Cue:
    start: int
    end: int
    lines: list[str]
    speaker: str | None = None


class _SubtitleRenderer(Renderer):
    point = ","

    def begin(self, document: Document) -> None:
        if document.kind in {"summary", "rag"}:
            raise InvalidSource(f"{self.format} shows speech; a {document.kind} has none")
        settings = self.context.settings
        self._rules = settings if isinstance(settings, SubtitleSettings) else SubtitleSettings()
        self._speakers = Speakers()
        self._number, self._clock, self._last_start = 0, 0, -1
        self._held: _Cue | None = None
        self._head(document)

    def _head(self, document: Document) -> None:
        pass

    def write(self, record: Record) -> None:
        if isinstance(record, Section):
            return  # a chapter has no time of its own
        if not isinstance(record, Segment):
            kind = "rows" if isinstance(record, Row) else type(record).__name__.lower()
            raise InvalidSource(f"{self.format} shows speech; {kind} cannot become subtitles")
        for cue in self._cues(record):
            self._add(cue)

    def _cues(self, segment: Segment) -> Iterator[_Cue]:
        text = clean(segment.text).strip()
        if not text:
            self.context.report("empty segments were left out")
            return
        start, end = self._times(segment, text)
        name, prefix = self._named(segment)
        lines = self._lines(f"{prefix}{text}")
        groups = [
            lines[i : i + self._rules.max_lines]
            for i in range(0, len(lines), self._rules.max_lines)
        ]
        if len(groups) == 1:
            yield _Cue(start, end, lines, name)
            return
        bounds = _bounds(segment, groups, start, end, len(prefix.replace(" ", "")))
        for index, group in enumerate(groups):
            yield _Cue(bounds[index], bounds[index + 1], group, name)

    def _named(self, segment: Segment) -> tuple[str | None, str]:
        """Return who speaks, for every cue, and what stands before the text."""
        if not self._rules.speakers:
            return None, ""
        changed = self._speakers.change(segment)
        prefix = f"{changed}: " if changed and self.point == "," else ""
        return line(segment.speaker or "") or None, prefix

    def _times(self, segment: Segment, text: str) -> tuple[int, int]:
        report, reading = self.context.report, max(1000, min(7000, int(len(text) / _SPEED * 1000)))
        if segment.start is None:
            report("missing start times were set to the end of the cue before")
        start = self._clock if segment.start is None else millis(segment.start)
        if segment.start is not None and segment.start < 0:
            report("negative times were set to zero")
        if segment.end is None:
            report("missing end times were set by the length of the text")
        end = start + reading if segment.end is None else millis(segment.end)
        if end <= start:
            report("reversed or empty times were mended by the length of the text")
            end = start + reading
        if start < self._last_start:
            report("segments are not in the order of time")
        self._last_start, self._clock = start, max(self._clock, end)
        if end >= _SRT_END and self.point == ",":
            report("times of 100 hours and more: many players cannot show them in SRT")
        return start, end

    def _lines(self, text: str) -> list[str]:
        limit = self._rules.max_line_length
        found: list[str] = []
        for part in self._disarmed(text).split("\n"):
            if part.strip():
                found += wrapped(part, limit)
        return found

    def _disarmed(self, text: str) -> str:
        # Players and parsers take a line with two times for the head of a cue, whatever stands
        # between; only spaces and line breaks are added, so that the words stay what they are.
        if ":" not in text and "-->" not in text:
            return text
        parts = []
        for part in text.replace("-->", "-- >").split("\n"):
            marks = [found.start() for found in _STAMP.finditer(part)]
            cuts = [0, *marks[1:], len(part)]
            parts += [part[a:b] for a, b in pairwise(cuts)]
        return "\n".join(parts)

    def _add(self, cue: _Cue) -> None:
        held, self._held = self._held, cue
        if held is None:
            return
        if held.end > cue.start and held.start < cue.start:
            self._overlap(held, cue)
        elif held.end > cue.start and cue.end > held.start:
            self.context.report("overlapping cues that begin together were kept")
        self._emit(held)

    def _overlap(self, held: _Cue, cue: _Cue) -> None:
        if self._rules.overlap == "trim":
            self.context.report("overlapping cues were cut where the next begins")
            held.end = cue.start
        else:
            self.context.report("overlapping cues were kept")

    def _emit(self, cue: _Cue) -> None:
        self._number += 1
        times = f"{cue_time(cue.start, self.point)} --> {cue_time(cue.end, self.point)}"
        self.put(self._block(cue, times))

    def _block(self, cue: _Cue, times: str) -> str:
        raise NotImplementedError

    def end(self) -> None:
        if self._held is not None:
            self._emit(self._held)


class SrtRenderer(_SubtitleRenderer):
    """SubRip. It has no escapes: what players would read as markup gets a no-break space."""

    format = "srt"
    content_type = "application/x-subrip"

    def _block(self, cue: _Cue, times: str) -> str:
        text = _TAG.sub(f"<{_GAP}", "\n".join(cue.lines)).replace("{\\", f"{{{_GAP}\\")
        return f"{self._number}\n{times}\n{_LAST_NUMBER.sub(_GAP, text)}\n\n"


class VttRenderer(_SubtitleRenderer):
    """WebVTT (W3C, 2019): metadata as a NOTE, speakers as voices."""

    format = "vtt"
    content_type = "text/vtt; charset=utf-8"
    point = "."

    def _head(self, document: Document) -> None:
        self.put("WEBVTT\n\n")
        if not self.context.include_metadata:
            return
        rows = [("Title", title_of(document)), *facts_of(document, self.context)]
        text = "\n".join(f"{label}: {value}" for label, value in rows)
        self.put(f"NOTE\n{self._disarmed(text)}\n\n")

    def _block(self, cue: _Cue, times: str) -> str:
        text = "\n".join(cue.lines)
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        text = _LAST_NUMBER.sub(_GAP, text)
        if cue.speaker:
            name = cue.speaker.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            text = f"<v {name}>{text}"
        return f"{times}\n{text}\n\n"


def wrapped(text: str, limit: int) -> list[str]:
    """Return ``text`` in lines of at most ``limit`` columns, broken at spaces where there are some.

    Words that are longer than a line, and scripts without spaces, are broken between characters.
    """
    if len(text) <= limit // 2 or (text.isascii() and len(text) <= limit):
        return [text.strip()]
    if text.isascii() and (plain := _wrapped_plain(" ".join(text.split()), limit)) is not None:
        return plain
    lines: list[str] = []
    row, used = "", 0
    for word in text.split():
        size = width(word)
        if used and used + 1 + size <= limit:
            row, used = f"{row} {word}", used + 1 + size
            continue
        if size <= limit:
            if row:
                lines.append(row)
            row, used = word, size
            continue
        pieces = _broken(word, limit, limit - used - 1 if used else limit)
        first = next(pieces, "")
        if row and first:
            lines.append(f"{row} {first}")
        elif row or first:
            lines.append(row or first)
        lines += pieces
        row = lines.pop()
        used = width(row)
    return [*lines, row] if row else lines


def _wrapped_plain(text: str, limit: int) -> list[str] | None:
    """Return the same for text of which each character is a column; None if a word is too long."""
    lines, at = list[str](), 0
    while len(text) - at > limit:
        cut = text.rfind(" ", at, at + limit + 1)
        if cut < 0:
            return None
        lines.append(text[at:cut])
        at = cut + 1
    if at < len(text):
        lines.append(text[at:])
    return lines


def _broken(word: str, limit: int, room: int) -> Iterator[str]:
    """Yield pieces of a long word; the first fills the ``room`` that is left on the line."""
    piece, used = deque[str](), 0
    first, room = True, room if room >= limit // 2 else 0
    for char in word:
        size = width(char)
        if used + size > (room if first else limit):
            yield "".join(piece)
            piece.clear()
            used, first = 0, False
        piece.append(char)
        used += size
    yield "".join(piece)


def _bounds(
    segment: Segment, groups: list[list[str]], start: int, end: int, unspoken: int
) -> list[int]:
    """Return where each group of lines begins, and the end: by word times, else by length.

    The first ``unspoken`` characters are the speaker's name.
    """
    sizes = [sum(len(row.replace(" ", "")) for row in group) for group in groups]
    sizes[0] = max(0, sizes[0] - unspoken)
    total, done, found = max(1, sum(sizes)), 0, [start]
    marks = _marks(segment)
    for size in sizes[:-1]:
        done += size
        share = done / total
        moment = start + int((end - start) * share)
        if marks:
            moment = next((at for part, at in marks if part >= share), moment)
        # each piece keeps at least a millisecond, in order
        found.append(min(max(moment, found[-1] + 1), max(end - 1, found[-1] + 1)))
    return [*found, max(end, found[-1] + 1)]


def _marks(segment: Segment) -> list[tuple[float, int]]:
    """Return how much of the text has been said when each word begins."""
    sizes = [len("".join(word.text.split())) for word in segment.words]
    total, done = sum(sizes), 0
    found: list[tuple[float, int]] = []
    for word, size in zip(segment.words, sizes, strict=True):
        found.append((done / max(1, total), millis(word.start)))
        done += size
    return found
