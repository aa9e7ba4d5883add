"""Corrections of a transcript by hand: its title, what was said, and who said it."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .errors import BadEdit
from .names import tidy
from .transcript import Segment, Transcript

_LONGEST_TITLE: Final = 120
_LONGEST_NAME: Final = 80
_LONGEST_TEXT: Final = 5_000


class Edit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed; what is absent stays.

    Attributes:
        revision: Of the transcript that was edited, see :func:`revision_of`.
        title: A new one, up to 120 characters.
        texts: New texts by the number of their segment, from 0; up to 5,000 characters each.
        speakers: New names by the present ones, up to 80 characters; an empty present name stands
            for the segments whose speaker is not known.
    """

    revision: str
    title: str | None = None
    texts: Mapping[int, str] = {}
    speakers: Mapping[str, str] = {}


def revision_of(transcript: Transcript | Mapping[str, Any]) -> str:
    """Return what tells one state of a transcript from another."""
    plain = transcript.to_dict() if isinstance(transcript, Transcript) else transcript
    return hashlib.sha256(msgspec.json.encode(plain)).hexdigest()[:16]


def edited(transcript: Transcript, edit: Edit) -> Transcript:
    """Return ``transcript`` with the changes made.

    Raises:
        BadEdit: A text is empty or too long, or what it belongs to is not there.
    """
    known = {segment.speaker for segment in transcript.segments}
    if missing := sorted(edit.speakers.keys() - known):
        raise BadEdit(f"nobody called {missing[0]!r} speaks here; reload the transcript")
    if any(not 0 <= number < len(transcript.segments) for number in edit.texts):
        raise BadEdit(f"there are {len(transcript.segments)} segments; reload the transcript")
    title = transcript.title if edit.title is None else _checked(edit.title, _LONGEST_TITLE)
    names = {old: _checked(new, _LONGEST_NAME) for old, new in edit.speakers.items()}
    segments = tuple(
        _segment(segment, edit.texts.get(number), names)
        for number, segment in enumerate(transcript.segments)
    )
    return dataclasses.replace(transcript, title=title, segments=segments)


def _segment(segment: Segment, text: str | None, names: Mapping[str, str]) -> Segment:
    changed = dataclasses.replace(segment, speaker=names.get(segment.speaker, segment.speaker))
    if text is None or (new := _checked(text, _LONGEST_TEXT)) == segment.text:
        return changed
    # the times of single words belong to the words that were heard
    return dataclasses.replace(changed, text=new, words=())


def _checked(text: str, longest: int) -> str:
    clean = tidy(text)
    if not 0 < len(clean) <= longest:
        raise BadEdit(f"a title, name or text has 1 to {longest} characters, not {len(clean)}")
    return clean
