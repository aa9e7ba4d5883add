"""How the text of a cue is broken into lines, and when each group of lines is said."""

import re
from collections import deque
from collections.abc import Iterator, Sequence

from ...documents import Segment
from ...texts import millis, width

_ENDS = frozenset(".!?…。！？")  # noqa: RUF001  of Chinese sentences too
# the space behind a mark belongs to it; none follows Chinese ones
_MARK = re.compile("[.!?…,;:—。！？，、；：](?:(?<=[。！？，、；：])|(?<=[.!?…,;:—]) )")  # noqa: RUF001


def wrapped(text: str, limit: int) -> list[str]:
    """Return ``text`` in lines of at most ``limit`` columns, broken at spaces where there are some.

    Words that are longer than a line, and scripts without spaces, are broken between characters.
    """
    if len(text) <= limit // 2 or (text.isascii() and len(text) <= limit):
        return [text.strip()]
    if text.isascii():
        spaced = "  " in text or not text.isprintable() or text != text.strip()
        plain = _wrapped_plain(" ".join(text.split()) if spaced else text, limit)
        if plain is not None:
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


def in_one(text: str, limit: int, most: int) -> str | None:
    """Return what :func:`grouped` does if that is one or two lines, as they are shown; else None.

    Each character of ``text`` is to be a column, without spaces around it: most texts are so.
    """
    size = len(text)
    if size <= limit:
        return text
    if size > 2 * limit or most < 2 or "  " in text:
        return None
    cut = text.rfind(" ", 0, limit + 1)
    if cut < 0 or size - cut - 1 > limit:
        return None
    return f"{text[:cut]}\n{text[cut + 1 :]}"


def in_several(text: str, limit: int, most: int) -> list[str] | None:
    """Return what :func:`grouped` does where its first try succeeds, as it is shown; else None.

    ``text`` is as for :func:`in_one`, which returns None for it.
    """
    size, at, found = len(text), 0, list[str]()
    if size <= limit * most or "  " in text:
        return None
    for left in range(-(-size // (limit * most)), 0, -1):
        cut = _cut(text, at, (size - at) / left, marks=True) if left > 1 else size
        lines = in_one(text[at:cut].strip(), limit, most)
        if not lines:
            return None
        found.append(lines)
        at = cut
    return found


def grouped(text: str, limit: int, most: int) -> list[list[str]]:
    """Return the lines of a text in groups of at most ``most``, of about the same length.

    Groups end where a sentence or a part of one does, if that is near: nobody can read the single
    word that filling each group would leave for the last.
    """
    size = len(text)
    plain = text.isascii() and text.isprintable() and "  " not in text and text == text.strip()
    if plain and size <= limit:
        return [[text]]
    if plain and size > limit * most:
        least = -(-size // (limit * most))
    else:
        lines = (_wrapped_plain(text, limit) if plain else None) or wrapped(text, limit)
        if len(lines) <= most:
            return [lines]
        least = -(-len(lines) // most)
    for count in (least, least + 1):
        for marks in (True, False):
            groups = _even(text, limit, most, count, marks=marks, plain=plain)
            if groups is not None:
                return groups
    lines = wrapped(text, limit)
    return [lines[i : i + most] for i in range(0, len(lines), most)]


def _even(
    text: str, limit: int, most: int, count: int, *, marks: bool, plain: bool
) -> list[list[str]] | None:
    """Return ``count`` groups of about the same length; None if one does not fit."""
    groups, at = list[list[str]](), 0
    wrap = _wrapped_plain if plain else wrapped
    for left in range(count, 0, -1):
        cut = _cut(text, at, (len(text) - at) / left, marks=marks) if left > 1 else len(text)
        piece = text[at:cut].strip()
        lines = [piece] if plain and len(piece) <= limit else wrap(piece, limit)
        if not lines or not lines[0] or len(lines) > most:
            return None
        groups.append(lines)
        at = cut
    return groups


def _cut(text: str, start: int, ideal: float, *, marks: bool) -> int:
    """Return where a piece of about ``ideal`` characters ends; ``start`` if it can end nowhere."""
    aim, near = start + int(ideal), int(ideal * 0.4)
    low, high = max(start + 1, aim - near), aim + near + 1
    if marks and (found := list(_MARK.finditer(text, low, high))):
        # the nearest end of a sentence, else of a clause
        best = min(found, key=lambda each: (each[0][0] not in _ENDS, abs(each.end() - aim)))
        return best.end()
    before, after = text.rfind(" ", low, aim), text.find(" ", aim, high)
    if before < 0 or after < 0:
        return max(before, after, start)
    return after if after - aim <= aim - before else before


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


def bounds_of(
    segment: Segment, cues: Sequence[str], start: int, end: int, unspoken: int
) -> list[int]:
    """Return where each of the ``cues`` begins, and the end: by word times, else by length.

    The first ``unspoken`` characters are the speaker's name.
    """
    sizes = [len(lines) - lines.count(" ") - lines.count("\n") for lines in cues]
    sizes[0] = max(0, sizes[0] - unspoken)
    total, done, found = max(1, sum(sizes)), 0, [start]
    marks = _marks(segment) if segment.words else None
    earliest, latest = start + 1, end - 1
    for size in sizes[:-1]:
        done += size
        share = done / total
        moment = start + int((end - start) * share)
        if marks is not None:
            moment = next((at for part, at in marks if part >= share), moment)
        # each piece keeps at least a millisecond, in order
        moment = max(min(moment, latest), earliest)
        found.append(moment)
        earliest = moment + 1
    found.append(max(end, earliest))
    return found


def _marks(segment: Segment) -> list[tuple[float, int]]:
    """Return how much of the text has been said when each word begins."""
    sizes = [len("".join(word.text.split())) for word in segment.words]
    total, done = sum(sizes), 0
    found: list[tuple[float, int]] = []
    for word, size in zip(segment.words, sizes, strict=True):
        found.append((done / max(1, total), millis(word.start)))
        done += size
    return found
