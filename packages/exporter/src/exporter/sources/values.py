"""Fields that users hand in, checked one by one: text, seconds, words, cells."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, SupportsFloat

from ..documents import Cell, Citation, Section, Segment, Word
from ..errors import InvalidSource
from ..texts import integer, quoted, shown

_KEYS = 12


def segment_of(data: Mapping[str, Any], where: str) -> Segment:
    """Return a mapping as a segment.

    Raises:
        InvalidSource: A field has the wrong type; so in the functions below.
    """
    speaker = data.get("speaker")
    if "text" not in data:
        raise InvalidSource(f"{where} has no 'text'; it has {names_of(data)}")
    return Segment(
        text_of(data["text"], f"{where}.text").strip(" \t\r\n"),
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
    _refuse_strange(data, where, "title", "heading", "text", "content", "bullets", "points")
    section = Section(
        text_of(data.get("title", data.get("heading")), f"{where}.title"),
        text_of(data.get("text", data.get("content")), f"{where}.text"),
        texts_of(data.get("bullets", data.get("points")), f"{where}.bullets"),
        data.get("level", 1),
    )
    return checked_section(section, where)


def checked_section(section: Section, where: str) -> Section:
    """Return a section whose fields are what they should be."""
    level: Any = section.level
    if not isinstance(level, int) or isinstance(level, bool) or not 1 <= level <= 6:
        raise InvalidSource(f"{where}.level must be 1 to 6, not {quoted(level)}")
    if section.role not in {None, "question", "answer"}:
        raise InvalidSource(
            f"{where}.role must be 'question', 'answer' or None, not {quoted(section.role)}"
        )
    check_text(section.title, f"{where}.title")
    check_text(section.text, f"{where}.text")
    if isinstance(section.bullets, list | tuple):
        for point in section.bullets:
            check_text(point, f"{where}.bullets")
        return section
    points = texts_of(section.bullets, f"{where}.bullets")
    return Section(section.title, section.text, points, level, section.role)


def citation_of(data: Mapping[str, Any], where: str) -> Citation:
    """Return a mapping as a citation."""
    _refuse_strange(data, where, "title", "source", "text", "quote", "snippet", "url")
    url = data.get("url")
    citation = Citation(
        text_of(data.get("title", data.get("source")), f"{where}.title"),
        text_of(data.get("text", data.get("quote", data.get("snippet"))), f"{where}.text"),
        None if url is None else text_of(url, f"{where}.url"),
        data.get("score"),
        data.get("number"),
    )
    return checked_citation(citation, where)


def checked_citation(citation: Citation, where: str) -> Citation:
    """Return a citation whose fields are what they should be; a score that is NaN is none."""
    check_text(citation.title, f"{where}.title")
    check_text(citation.text, f"{where}.text")
    url: Any = citation.url
    number: Any = citation.number
    if url is not None:
        check_text(url, f"{where}.url")
    if number is not None and (not isinstance(number, int) or isinstance(number, bool)):
        raise InvalidSource(f"{where}.number must be a whole number, not {quoted(number)}")
    score = seconds_of(citation.score, f"{where}.score")
    if score is not None and not math.isfinite(score):
        score = None
    return Citation(citation.title, citation.text, citation.url, score, citation.number)


def _refuse_strange(data: Mapping[str, Any], where: str, *known: str) -> None:
    """Refuse a mapping with none of the ``known`` names: misspelt, it would look empty."""
    if data and data.keys().isdisjoint(known):
        raise InvalidSource(f"{where} has none of {', '.join(known)}; it has {names_of(data)}")


def names_of(data: Mapping[str, Any]) -> str:
    """Return the keys of a mapping for an error message."""
    names = [quoted(key) for key in data]
    more = f", and {len(names) - _KEYS} more" if len(names) > _KEYS else ""
    return f"{', '.join(names[:_KEYS])}{more}" if names else "nothing"


def check_text(value: object, where: str) -> None:
    """Refuse what is no text."""
    if not isinstance(value, str):
        raise InvalidSource(f"{where} must be text, not {quoted(value)}")


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
    """Return a number, or None; numbers of other libraries and numbers in text are read."""
    if value is None:
        return None
    if isinstance(value, str | int | float | SupportsFloat) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError, TypeError):
            pass
    raise InvalidSource(f"{where} must be a number, not {quoted(value)}")


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
