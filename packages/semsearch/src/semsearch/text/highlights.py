"""Passages that show why a document was found, as HTML. Linear in the length of the text."""

import html
import re

from .spotting import Spotter

# full stops and marks of Latin and, by their code points, of Chinese and Japanese
SENTENCE = re.compile(r"[^.!?\u3002\uff01\uff1f\n]+[.!?\u3002\uff01\uff1f]*\s*|\n+")
_LONGEST = 240


def highlights(text: str, spotter: Spotter, limit: int = 3) -> list[str]:
    """Return at most ``limit`` passages with most matches, in the order of the text.

    Args:
        text: Escaped as a whole; nothing in it becomes markup.
        spotter: Knows the stems of the query, in the language of the text.
        limit: Passages.
    """
    spans = spotter.spans(text)
    if not spans:
        return []
    passages = []
    position = 0
    for found in SENTENCE.finditer(text):
        inside = []
        while position < len(spans) and spans[position][0] < found.end():
            inside.append(spans[position])
            position += 1
        if inside:
            passages.append((len(inside), found.start(), found.end(), inside))
    best = sorted(sorted(passages, key=lambda p: (-p[0], p[1]))[:limit], key=lambda p: p[1])
    return [_marked(text, start, end, inside) for _, start, end, inside in best]


def best_passages(text: str, spotter: Spotter, part: tuple[int, int] | None) -> list[str]:
    """Return passages of the best part of a long text, else of the whole of it.

    Args:
        text: Of the document.
        spotter: Knows the stems of the query.
        part: Where the part begins and ends that is nearest to the query; its beginning is shown
            where no word of the query is.
    """
    if part is None:
        return highlights(text, spotter)
    within = text[part[0] : part[1]]
    found = highlights(within, spotter) or highlights(text, spotter)
    return found or [html.escape(within.strip()[:_LONGEST])]


def _marked(text: str, start: int, end: int, spans: list[tuple[int, int]]) -> str:
    sentence = (start, end)
    if end - start > _LONGEST:
        start, end = _cut(text, start, end, spans[0])
    before, behind = ("…" if start > sentence[0] else ""), ("…" if end < sentence[1] else "")
    parts, position = [], start
    for first, last in spans:
        if first < position or last > end:
            continue
        parts += [
            html.escape(text[position:first]),
            "<mark>",
            html.escape(text[first:last]),
            "</mark>",
        ]
        position = last
    parts.append(html.escape(text[position:end]))
    return f"{before}{''.join(parts).strip()}{behind}"


def _cut(text: str, start: int, end: int, span: tuple[int, int]) -> tuple[int, int]:
    """Return where to begin and end around a word, between words where there are spaces."""
    begin = max(start, span[0] - _LONGEST // 3)
    if begin > start:
        space = text.find(" ", begin, span[0])
        begin = space + 1 if space >= 0 else begin
    stop = min(end, begin + _LONGEST)
    if stop < end:
        space = text.rfind(" ", span[1], stop)
        stop = space if space >= 0 else stop
    return begin, stop
