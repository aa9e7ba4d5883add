"""What was said: a transcript of segments of words, and its plain and JSON forms.

The JSON form is Whisper's (``segments`` with ``start``, ``end``, ``text``, ``words``) with a few
fields more, so the studio reads its own files back and other programs read them too.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec

from .names import UNKNOWN_LANGUAGE

FORMAT_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word; times in seconds from the start of the recording."""

    word: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence or so by one speaker; ``words`` is empty where single words have no times."""

    start: float
    end: float
    text: str
    speaker: str = ""
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """A whole transcript.

    Attributes:
        title: For people; see `names.safe_title`.
        language: An ISO 639-1 code, or ``"und"`` where nothing says it.
        segments: In order of their start.
        duration: Length in seconds; of a file without audio the end of its last segment.
        source: Where it comes from: ``"pocketsphinx"``, ``"faster-whisper"``, ``"srt"``, ``"vtt"``,
            ``"txt"`` or ``"json"``. The times of ``"txt"`` are estimates.
    """

    title: str
    language: str = UNKNOWN_LANGUAGE
    segments: tuple[Segment, ...] = ()
    duration: float = 0.0
    source: str = ""

    @property
    def text(self) -> str:
        """Everything that was said, one segment a line."""
        return "\n".join(segment.text for segment in self.segments)

    @property
    def speakers(self) -> tuple[str, ...]:
        """The names of those who speak, in the order in which they begin."""
        return tuple(dict.fromkeys(s.speaker for s in self.segments if s.speaker))

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers."""
        return {"version": FORMAT_VERSION, **asdict(self)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Transcript":
        """Return the transcript that `to_dict` gave.

        Raises:
            msgspec.ValidationError: ``data`` has not that form.
        """
        return msgspec.convert(data, cls)

    def to_json(self) -> bytes:
        """Return the transcript as UTF-8 JSON."""
        return msgspec.json.encode(self.to_dict())

    @classmethod
    def from_json(cls, data: bytes) -> "Transcript":
        """Return the transcript that `to_json` gave.

        Raises:
            msgspec.DecodeError: ``data`` is not JSON, or has not that form.
        """
        return msgspec.json.decode(data, type=cls)
