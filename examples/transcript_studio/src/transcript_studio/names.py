"""What a file is called: titles, kinds and languages out of names nobody vouches for.

A name comes from the browser of a stranger. It is shown, never opened: files are stored under names
of our own, and only what these functions return is kept of the original one.
"""

import re
import unicodedata
from pathlib import PurePosixPath
from typing import Final

RECORDINGS: Final = frozenset({".wav", ".wave"})
TRANSCRIPTS: Final = frozenset({".srt", ".vtt", ".txt", ".json"})
UNKNOWN_LANGUAGE: Final = "und"  # BCP 47: undetermined

_MAX_TITLE: Final = 120
_MAX_NAME: Final = 200
_END: Final = 16
_JOINER: Final = "\u200d"  # holds joined emoji together, so it stays
_LANGUAGE: Final = re.compile(r"\.([a-z]{2})(?:-[a-z]{2,4})?$", re.IGNORECASE)


def suffix_of(name: str) -> str:
    """Return the extension of ``name`` in lower case with its dot, or an empty string."""
    base = _base_name(name)
    dot = base.rfind(".")
    return base[dot:].lower() if dot >= 0 else ""


def safe_title(name: str) -> str:
    """Return a title for the file ``name``: no folders, no control characters, never empty.

    >>> safe_title("../../product_meeting.wav")
    'product meeting'
    """
    base = _base_name(name)
    if suffix_of(base) in RECORDINGS | TRANSCRIPTS:
        base = base[: base.rindex(".")]
        base = _LANGUAGE.sub("", base)
    title = " ".join(base.replace("_", " ").split()).strip(". ")
    return title[:_MAX_TITLE].strip() or "Untitled"


def kept_name(name: str) -> str:
    """Return ``name`` in at most 200 characters, with its end: that says kind and language."""
    return name if len(name) <= _MAX_NAME else name[: _MAX_NAME - _END] + name[-_END:]


def language_hint(name: str) -> str:
    """Return the language that a name like ``interview.de.srt`` states, else ``"und"``."""
    base = _base_name(name)
    found = _LANGUAGE.search(base[: base.rfind(".")]) if suffix_of(base) in TRANSCRIPTS else None
    return found[1].lower() if found else UNKNOWN_LANGUAGE


def tidy(text: str) -> str:
    """Return ``text`` in one line, without control, format and surrogate characters."""
    line = " ".join(text.split())
    return line if line.isprintable() else " ".join("".join(filter(_is_visible, line)).split())


def _base_name(name: str) -> str:
    # Windows clients may send backslashes, whatever system this runs on.
    return tidy(PurePosixPath(name.replace("\\", "/")).name)


def _is_visible(char: str) -> bool:
    if char.isspace() or char == _JOINER:
        return True
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs"}
