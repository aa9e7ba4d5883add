"""SRT and WebVTT: cues that any player shows and no text can break."""

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

from ...documents import Document, Record, Row, Section, Segment
from ...errors import InvalidSource
from ...ports import Renderer
from ...presentation import facts_of, title_of
from ...settings import SubtitleSettings
from ...texts import clean, cue_time, line, millis
from .wrapping import bounds_of, grouped, in_one, in_several, wrapped

# with the digits of any script: there are readers that take them for digits
_STAMP = re.compile(r"(?:\d{0,4}:)?\d{1,2}:\d{1,2}[.,]\d{1,3}")
_TAG = re.compile(r"<(?= */? *[A-Za-z])")
_LAST_NUMBER = re.compile(r"(?<=\n)(?= *\d+ *\Z)")
_GAP = "\u00a0"
_SPEED = 15.0  # characters a second that people read: Netflix Timed Text Style Guide, 2023
_SRT_END = 100 * 3_600_000
_FAR = 99 * 3600.0  # seconds: times below need no second look
_TOGETHER, _SPEAKERS = 64, 1000


# Begin and end in milliseconds, the lines, who speaks. A tuple: there are a million of them.
_Cue = tuple[int, int, str, str | None]
# A segment, its cues, begin and end, what stands before its text, who speaks.
_Shared = tuple[Segment, list[str], int, int, str, str | None]


class _SubtitleRenderer(Renderer):
    point = ","

    def begin(self, document: Document) -> None:
        if document.kind in {"summary", "rag"}:
            raise InvalidSource(f"{self.format} shows speech; a {document.kind} has none")
        settings = self.context.settings
        self._rules = settings if isinstance(settings, SubtitleSettings) else SubtitleSettings()
        self._limit, self._most = self._rules.max_line_length, self._rules.max_lines
        self._speaker: str | None = None
        self._name = ""
        self._number, self._clock, self._last_start = 0, 0, -1
        self._held: _Cue | None = None
        self._shared: _Shared | None = None
        self._blocks: list[str] = []
        self._names: dict[str, str] = {}
        self._head(document)

    def _head(self, document: Document) -> None:
        pass

    def write(self, record: Record) -> None:
        if isinstance(record, Section):
            return  # a chapter has no time of its own
        if not isinstance(record, Segment):
            kind = "rows" if isinstance(record, Row) else type(record).__name__.lower()
            raise InvalidSource(f"{self.format} shows speech; {kind} cannot become subtitles")
        self._segment(record)
        if len(self._blocks) >= _TOGETHER:
            self._pass_on()

    def write_all(self, records: Iterable[Record]) -> None:
        for record in records:
            if isinstance(record, Segment):
                self._segment(record)
                if len(self._blocks) >= _TOGETHER:
                    self._pass_on()
            else:
                self.write(record)

    def _pass_on(self) -> None:
        self.put("".join(self._blocks))
        self._blocks.clear()

    def _segment(self, segment: Segment) -> None:
        text = segment.text
        plain = text.isascii() and text.isprintable()
        text = text.strip() if plain else clean(text).strip()
        if not text:
            self.context.report("empty segments were left out")
            return
        start, end = self._times(segment, text)
        name, prefix = self._name or None, ""
        if segment.speaker != self._speaker:
            name, prefix = self._named(segment.speaker)
            text = f"{prefix}{text}"
            plain = plain and prefix.isascii() and prefix.isprintable()
        # what is nothing like the head of a cue, and no wider than it is long: most of what is said
        plain = plain and "-->" not in text and text.count(":") < 2
        if plain and (shown := in_one(text, self._limit, self._most)) is not None:
            self._add(start, end, shown, name)
            return
        cues = in_several(text, self._limit, self._most) if plain else None
        cues = cues or self._cues(text)
        if len(cues) == 1:
            self._add(start, end, cues[0], name)
            return
        self._pass_shared(start)
        self._shared = segment, cues, start, end, prefix, name

    def _pass_shared(self, before: int | None = None) -> None:
        """Add the cues that the segment before is shared out among, which now may end earlier."""
        if self._shared is None:
            return
        segment, cues, start, end, prefix, name = self._shared
        self._shared = None
        if before is not None and start < before < end:
            if self._rules.overlap == "trim":
                self.context.report("overlapping cues were cut where the next begins")
                # the times of its words, some of which come later, no longer hold
                segment, end = replace(segment, words=()), before
            else:
                self.context.report("overlapping cues were kept")
        bounds = bounds_of(segment, cues, start, end, len(prefix.replace(" ", "")))
        if bounds[-1] > end:
            self.context.report("segments of less than a millisecond a cue were made longer")
        for index, shown in enumerate(cues):
            self._add(bounds[index], bounds[index + 1], shown, name)

    def _named(self, speaker: str | None) -> tuple[str | None, str]:
        """Return who speaks, for every cue, and what stands before the text."""
        if not self._rules.speakers:
            return None, ""
        self._speaker, known = speaker, speaker or ""
        if (name := self._names.get(known)) is None:
            if len(self._names) >= _SPEAKERS:
                self._names.clear()
            name = self._names[known] = line(known)
        changed, self._name = name != self._name, name
        return name or None, f"{name}: " if name and changed and self.point == "," else ""

    def _times(self, segment: Segment, text: str) -> tuple[int, int]:
        begin, until = segment.start, segment.end
        if begin is not None and until is not None and 0 <= begin < until < _FAR:
            start, end = round(begin * 1000), round(until * 1000)
            if self._last_start <= start < end:
                self._last_start = start
                self._clock = max(self._clock, end)
                return start, end
        return self._mended(segment, text)

    def _mended(self, segment: Segment, text: str) -> tuple[int, int]:
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

    def _cues(self, text: str) -> list[str]:
        """Return the lines of each cue."""
        limit, most, text = self._limit, self._most, self._disarmed(text)
        if "\n" not in text:
            return ["\n".join(lines) for lines in grouped(text, limit, most)]
        found: list[str] = []
        for part in text.split("\n"):
            if part.strip():
                found += wrapped(part, limit)
        return ["\n".join(found[i : i + most]) for i in range(0, len(found), most)]

    def _disarmed(self, text: str) -> str:
        # Players and parsers take a line with two times for the head of a cue, whatever stands
        # between; only spaces and line breaks are added, so that the words stay what they are.
        if "-->" not in text and text.count(":") < 2:
            return text
        parts = []
        for part in text.replace("-->", "-- >").split("\n"):
            marks = [found.start() for found in _STAMP.finditer(part)]
            cuts = [0, *marks[1:], len(part)]
            parts += [part[a:b] for a, b in pairwise(cuts)]
        return "\n".join(parts)

    def _add(self, start: int, end: int, text: str, name: str | None) -> None:
        if self._shared is not None:
            self._pass_shared(start)
        held, self._held = self._held, (start, end, text, name)
        if held is not None:
            self._emit(held if held[1] <= start else self._overlapping(held, start, end))

    def _overlapping(self, held: _Cue, start: int, end: int) -> _Cue:
        """Return a cue that lasts longer than until the next begins, as it is to be written."""
        if held[0] >= start:
            if end > held[0]:
                alike = " that begin together" if self._rules.overlap == "trim" else ""
                self.context.report(f"overlapping cues{alike} were kept")
            return held
        if self._rules.overlap != "trim":
            self.context.report("overlapping cues were kept")
            return held
        self.context.report("overlapping cues were cut where the next begins")
        return held[0], start, held[2], held[3]

    def _emit(self, cue: _Cue) -> None:
        start, end, text, name = cue
        self._number += 1
        times = f"{cue_time(start, self.point)} --> {cue_time(end, self.point)}"
        self._blocks.append(self._block(times, text, name))

    def _block(self, times: str, text: str, name: str | None) -> str:
        raise NotImplementedError

    def end(self) -> None:
        self._pass_shared()
        if self._held is not None:
            self._emit(self._held)
        self._pass_on()


class SrtRenderer(_SubtitleRenderer):
    """SubRip. It has no escapes: what players would read as markup gets a no-break space."""

    format = "srt"
    content_type = "application/x-subrip"

    def _block(self, times: str, text: str, name: str | None) -> str:
        if "<" in text or "{" in text:
            text = _TAG.sub(f"<{_GAP}", text).replace("{\\", f"{{{_GAP}\\")
        return f"{self._number}\n{times}\n{_marked(text)}\n\n"


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

    def _block(self, times: str, text: str, name: str | None) -> str:
        text = _marked(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
        if name:
            text = f"<v {_voice(name)}>{text}"
        return f"{times}\n{text}\n\n"


@lru_cache(maxsize=1024)
def _voice(name: str) -> str:
    """Return the name of a voice, which can neither end its tag nor make a line of times."""
    if name.count(":") and _STAMP.search(name):
        # beside a time in the text it would be the head of a cue
        name = _STAMP.sub(lambda found: found[0].replace(":", f":{_GAP}"), name)
    name = name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"{name} " if name.endswith("-") else name  # else with the end of the tag: an arrow


def _marked(text: str) -> str:
    """Return ``text`` with a no-break space before a number that would begin the next cue."""
    last = text[-1:]
    return _LAST_NUMBER.sub(_GAP, text) if last.isdecimal() or last == " " else text
