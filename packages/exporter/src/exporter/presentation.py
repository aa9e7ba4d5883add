"""What every readable format shows alike: title, facts, speakers' colours, chapters of time."""

from collections.abc import Iterator
from dataclasses import dataclass

from .documents import Document, Record, Section, Segment
from .ports import RenderContext
from .texts import clean, line, shown, stamp

# Dark enough on white for WCAG 2.2 AA (contrast of 4.5:1 and more), apart for the colour-blind:
# after P. Tol, "Colour Schemes", SRON technical note, 2021 (scheme "muted", darkened).
PALETTE = ("332288", "117733", "9A3324", "0B6E8A", "882255", "6B5B00", "8A3D78", "1B5E56")
CHAPTER = 600.0
_UNTITLED = {
    "transcript": "Transcript",
    "summary": "Summary",
    "rag": "Answer",
    "custom": "Export",
}


def title_of(document: Document) -> str:
    """Return the title on one line, or a word for the kind."""
    return line(document.title) or _UNTITLED[document.kind]


def facts_of(document: Document, context: RenderContext) -> list[tuple[str, str]]:
    """Return the facts of the title block as labels and values, each on one line."""
    made = document.created_at
    found: list[tuple[str, object]] = [
        ("Date" if made else "Exported", (made or context.now).strftime("%Y-%m-%d %H:%M")),
        ("Author", document.author),
        ("Language", document.language),
    ]
    for key, value in document.metadata.items():
        label = key.replace("_", " ").strip().capitalize()
        number = isinstance(value, int | float) and not isinstance(value, bool)
        found.append((label, stamp(float(value)) if key == "duration" and number else value))
    rows = ((line(label)[:60], line(shown(value))[:1000]) for label, value in found)
    return [(label, value) for label, value in rows if label and value]


class Speakers:
    """Gives each speaker a colour, in the order of appearance, and tells when they change."""

    def __init__(self) -> None:
        """Know nobody."""
        self._colours: dict[str, str] = {}
        self._last: str | None = None
        self._speaker: str | None = None

    def colour(self, name: str) -> str:
        """Return six hexadecimal digits."""
        if name not in self._colours and len(self._colours) < 10_000:
            self._colours[name] = PALETTE[len(self._colours) % len(PALETTE)]
        return self._colours.get(name, PALETTE[0])

    def change(self, segment: Segment) -> str | None:
        """Return the speaker's name if it is not the one who spoke last; None otherwise."""
        speaker = segment.speaker
        if speaker == self._speaker and self._last is not None:
            return None
        self._speaker, name = speaker, line(speaker or "")
        changed, self._last = name != self._last, name
        return name if name and changed else None

    def forget(self) -> None:
        """Name the next speaker in any case: a heading stood between."""
        self._last = None


@dataclass
class Chapters:
    """Puts a heading into a long transcript that has none, every ten minutes."""

    due: float = CHAPTER
    own: bool = False
    used: bool = False

    def from_start(self) -> None:
        """Put a heading before the first record too, unless the document has its own."""
        self.due = 0.0

    def before(self, record: Record) -> Iterator[Section]:
        """Yield the heading that stands before ``record``, if one is due."""
        if isinstance(record, Section) and record.title:
            self.own = True
        if self.own or not isinstance(record, Segment) or record.start is None:
            return
        if record.start >= self.due:
            begin = record.start // CHAPTER * CHAPTER
            self.due, self.used = begin + CHAPTER, True
            yield Section(span(begin))


def span(begin: float) -> str:
    """Return the heading of the chapter that begins at ``begin`` seconds."""
    return f"{stamp(begin)} \u2013 {stamp(begin + CHAPTER)}"


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of ``text``: what blank lines part."""
    parts = (part.strip("\n") for part in clean(text).split("\n\n"))
    return [part for part in parts if part.strip()]
