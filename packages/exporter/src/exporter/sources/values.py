"""Fields that users hand in, checked one by one: text, seconds, words, cells."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..documents import Cell, Citation, Section, Segment, Word
from ..errors import InvalidSource
from ..texts import integer, shown


def segment_of(data: Mapping[str, Any], where: str) -> Segment:
    """Return a mapping as a segment.

    Raises:
        InvalidSource: A field has the wrong type; so in the functions below.
    """
    speaker = data.get("speaker")
    return Segment(
        text_of(data.get("text"), f"{where}.text").strip(" \t\r\n"),
        seconds_of(data.get("start"), f"{where}.start"),
        seconds_of(data.get("end"), f"{where}.end"),
        None if speaker is None else text_of(speaker, f"{where}.speaker"),
        words_of(data.get("words"), f"{where}.words"),
    )


def words_of(data: Any, where: str) -> tuple[Word, ...]:
    """Return the words of a segment; none if one of them has no time."""
    if not data:
        return ()
    if isinstance(data, str | bytes) or not isinstance(data, Sequence):
        raise InvalidSource(f"{where} must be a list")
    found: list[Word] = []
    for item in data:
        if isinstance(item, Word):
            found.append(item)
        elif not isinstance(item, Mapping):
            raise InvalidSource(f"{where} must be a list of mappings")
        else:
            text = text_of(item.get("word", item.get("text")), where)
            start, end = seconds_of(item.get("start"), where), seconds_of(item.get("end"), where)
            # WhisperX leaves the times of numerals out; all or none, or lines would drift
            if start is None or end is None or not (math.isfinite(start) and math.isfinite(end)):
                return ()
            found.append(Word(text, start, end))
    return tuple(found)


def section_of(data: Mapping[str, Any], where: str) -> Section:
    """Return a mapping as a section."""
    level = data.get("level", 1)
    if not isinstance(level, int) or not 1 <= level <= 6:
        raise InvalidSource(f"{where}.level must be 1 to 6, not {shown(level)[:40]!r}")
    return Section(
        text_of(data.get("title", data.get("heading")), f"{where}.title"),
        text_of(data.get("text", data.get("content")), f"{where}.text"),
        texts_of(data.get("bullets", data.get("points")), f"{where}.bullets"),
        level,
    )


def citation_of(data: Mapping[str, Any], where: str) -> Citation:
    """Return a mapping as a citation."""
    url, number = data.get("url"), data.get("number")
    if number is not None and not isinstance(number, int):
        raise InvalidSource(f"{where}.number must be a whole number")
    return Citation(
        text_of(data.get("title", data.get("source")), f"{where}.title"),
        text_of(data.get("text", data.get("quote", data.get("snippet"))), f"{where}.text"),
        None if url is None else text_of(url, f"{where}.url"),
        seconds_of(data.get("score"), f"{where}.score"),
        number,
    )


def text_of(value: Any, where: str) -> str:
    """Return text; None is empty, numbers are written out."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return shown(value)
    raise InvalidSource(f"{where} must be text, not {type(value).__name__}")


def texts_of(value: Any, where: str) -> tuple[str, ...]:
    """Return several texts."""
    if value is None:
        return ()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise InvalidSource(f"{where} must be a list, not {type(value).__name__}")
    return tuple(text_of(item, where) for item in value)


def seconds_of(value: Any, where: str) -> float | None:
    """Return a number of seconds, or None."""
    if value is None:
        return None
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise InvalidSource(f"{where} must be a number, not {shown(value)[:40]!r}")


def flat(value: Any) -> Cell:
    """Return a cell: plain values as they are, anything else as text."""
    if isinstance(value, bool | float | str) or value is None:
        return value
    if isinstance(value, int):
        return value if value.bit_length() < 64 else integer(value)
    if isinstance(value, Mapping):
        value = ", ".join(f"{shown(key)}: {_brief(item)}" for key, item in value.items())
    return shown(value)


def _brief(value: Any) -> str:
    # one level of a nested mapping is read as text; deeper ones belong into JSON
    return "{…}" if isinstance(value, Mapping) else shown(value)
