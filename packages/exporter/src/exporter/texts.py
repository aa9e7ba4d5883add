"""User text made safe for what it goes into; times and numbers as text."""

import math
import re
import unicodedata
from datetime import datetime
from functools import lru_cache
from html import escape
from typing import Any

# C0 but tab and line feed, DEL, C1, surrogates, noncharacters: no place in XML or a text file
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_LATEST = 1e10
_SURROGATE = re.compile("[\ud800-\udfff]")
# as text beforehand: subtitles have four of them a cue
_TWO = tuple(f"{n:02d}" for n in range(60))
_THREE = tuple(f"{n:03d}" for n in range(1000))
# Joiners, direction marks and the like, as the inside of a class: people do not see them.
INVISIBLE = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
)
# What spreadsheets take for a formula, also after spaces, quotes and what nobody sees, and in its
# full-width forms: CWE-1236; OWASP, "CSV Injection".
FORMULA = rf"[\s'\"\x00{INVISIBLE}]*[=+\-@\uff1d\uff0b\uff0d\uff20]"
_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")


def clean(text: str) -> str:
    """Return ``text`` without control characters, with one kind of line break (line feed).

    Lone surrogates and noncharacters become U+FFFD, so that the loss can be seen.
    """
    if text.isascii() and text.isprintable():
        return text
    return _CONTROLS.sub(_replacement, _BREAKS.sub("\n", text))


def _replacement(found: re.Match[str]) -> str:
    return "" if found[0] < "\xa0" else "\ufffd"


def utf8(text: str) -> bytes:
    """Return ``text`` as UTF-8; lone surrogates become U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text).encode()


def line(text: str) -> str:
    """Return ``text`` cleaned and on one line."""
    return " ".join(clean(text).split())


def markup(text: str) -> str:
    """Return ``text`` cleaned and escaped for XML and HTML, attributes included."""
    return escape(clean(text))


def shown(value: Any) -> str:  # noqa: PLR0911  one line for each kind of value
    """Return a cell or fact as people read it; None and NaN are empty."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else ""
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(shown(item) for item in value)
    return str(value)


def quoted(value: object) -> str:
    """Return a wrong value for an error message: its ``repr``, at most 80 characters."""
    if isinstance(value, int) and not isinstance(value, bool):
        return integer(value)[:80]
    try:
        return repr(value)[:80]
    except Exception:  # noqa: BLE001  a number of thousands of digits, a user's own repr
        return type(value).__name__


def integer(value: int) -> str:
    """Return an integer in decimal digits, in hexadecimal ones if it is astronomical."""
    # Python refuses decimals of over 4,300 digits, because they take quadratic time
    return str(value) if value.bit_length() < 10_000 else hex(value)


def stamp(seconds: float | None) -> str:
    """Return a time as ``HH:MM:SS``; empty if unknown."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    return f"{_clock(minutes)}:{_TWO[rest]}"


def millis(seconds: float) -> int:
    """Return seconds in whole milliseconds, not below zero and not over 300 years."""
    return max(0, round(min(seconds, _LATEST) * 1000))


def cue_time(ms: int, point: str) -> str:
    """Return milliseconds as ``HH:MM:SS,mmm`` (SRT: ``,``; VTT: ``.``)."""
    minutes, rest = divmod(ms, 60_000)
    return f"{_clock(minutes)}:{_TWO[rest // 1000]}{point}{_THREE[rest % 1000]}"


@lru_cache(maxsize=256)
def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def width(text: str) -> int:
    """Return the columns of ``text``: two for wide characters, none for combining ones.

    Source: Unicode Standard Annex 11, "East Asian Width".
    """
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def is_rtl(text: str) -> bool:
    """Whether the first strong character is right-to-left (Unicode Annex 9, rule P2)."""
    if text.isascii():
        return False
    for char in text:
        kind = unicodedata.bidirectional(char)
        if kind in {"R", "AL"}:
            return True
        if kind == "L":
            return False
    return False
