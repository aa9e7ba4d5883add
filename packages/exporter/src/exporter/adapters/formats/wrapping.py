"""How the text of a cue is broken into lines, and when each group of lines is said."""

from collections import deque
from collections.abc import Iterator

from ...documents import Segment
from ...texts import millis, width


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
