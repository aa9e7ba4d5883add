"""The order of mixed text on a line: levels of characters, then runs as they stand on paper.

Source: Unicode Standard Annex 9, "Unicode Bidirectional Algorithm", rules W1 to N2, I1, I2, L2.
Explicit embeddings, overrides and isolates are taken for characters without effect.
"""

import unicodedata
from collections.abc import Sequence
from typing import Final, TypeVar

from ...texts import is_rtl

T = TypeVar("T")
_IGNORED: Final = {"BN", "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_LEFTWARD: Final = {"R", "AL", "AN"}
_RIGHTWARD: Final = {"L", "EN", "AN"}
_NEUTRAL: Final = {"B", "S", "WS", "ON"}
_BRACKETS: Final = (
    "()[]{}\u0f3a\u0f3b\u0f3c\u0f3d\u2045\u2046\u207d\u207e\u208d\u208e\u2308\u2309\u230a\u230b"
    "\u2329\u232a\u27e6\u27e7\u27e8\u27e9\u27ea\u27eb\u3008\u3009\u300a\u300b\u300c\u300d\u300e"
    "\u300f\u3010\u3011\u3014\u3015\u3016\u3017\u3018\u3019\u301a\u301b\uff08\uff09\uff3b\uff3d"
    "\uff5b\uff5d\uff5f\uff60\uff62\uff63"
)
_CLOSING: Final = dict(zip(_BRACKETS[::2], _BRACKETS[1::2], strict=True))
_OPENING: Final = {closing: opening for opening, closing in _CLOSING.items()}
_MIRRORED: Final = str.maketrans(
    {**_CLOSING, **_OPENING, "<": ">", ">": "<", "\u00ab": "\u00bb", "\u00bb": "\u00ab",
     "\u2039": "\u203a", "\u203a": "\u2039", "\u2264": "\u2265", "\u2265": "\u2264"}
)  # fmt: skip


def levels_of(text: str) -> tuple[int, list[int]]:
    """Return the level of a paragraph (1: right to left) and of each of its characters."""
    base = int(is_rtl(text))
    found = {unicodedata.bidirectional(char) or "L" for char in set(text)}
    # most text runs one way: without letters and numbers of the other way nothing is resolved
    if found.isdisjoint(_LEFTWARD):
        return 0, [0] * len(text)
    if base and found.isdisjoint(_RIGHTWARD):
        return 1, [1] * len(text)
    edge = "R" if base else "L"
    classes = [unicodedata.bidirectional(char) or "L" for char in text]
    places = [at for at, kind in enumerate(classes) if kind not in _IGNORED]
    kinds = [classes[at] for at in places]
    marks = [kind == "NSM" for kind in kinds]
    _weak(kinds, edge)
    _brackets([text[at] for at in places], kinds, marks, edge)
    _neutral(kinds, edge)
    levels = [base] * len(text)
    for at, kind in zip(places, kinds, strict=True):
        if base:
            levels[at] = 1 if kind == "R" else 2
        else:
            levels[at] = {"L": 0, "R": 1}.get(kind, 2)
    for at in range(1, len(text)):
        if classes[at] in _IGNORED:
            levels[at] = levels[at - 1]
    return base, levels


def _weak(kinds: list[str], edge: str) -> None:
    """Resolve marks and numbers: W1 to W7."""
    _marks(kinds, edge)
    kinds[:] = ["R" if kind == "AL" else kind for kind in kinds]
    for at in range(1, len(kinds) - 1):
        left, kind, right = kinds[at - 1 : at + 2]
        if left == right and ((kind in {"ES", "CS"} and left == "EN") or kind + left == "CSAN"):
            kinds[at] = left
    _terminators(kinds)
    strong = edge
    for at, kind in enumerate(kinds):
        if kind in {"L", "R"}:
            strong = kind
        elif kind in {"ES", "ET", "CS"}:
            kinds[at] = "ON"
        elif kind == "EN" and strong == "L":
            kinds[at] = "L"


def _marks(kinds: list[str], edge: str) -> None:
    """Give marks what they stand on, and numbers the kind of the letters before: W1, W2."""
    before, strong = edge, edge
    for at in range(len(kinds)):
        if kinds[at] == "NSM":
            kinds[at] = before
        before = kinds[at]
        if before in {"L", "R", "AL"}:
            strong = before
        elif before == "EN" and strong == "AL":
            kinds[at] = "AN"


def _terminators(kinds: list[str]) -> None:
    """Join signs like the percent to the number that they touch: W5."""
    at = 0
    while at < len(kinds):
        end = at
        while end < len(kinds) and kinds[end] == "ET":
            end += 1
        touches = "EN" in kinds[max(0, at - 1) : at] or "EN" in kinds[end : end + 1]
        if end > at and touches:
            kinds[at:end] = ["EN"] * (end - at)
        at = max(end, at + 1)


def _brackets(chars: Sequence[str], kinds: list[str], marks: Sequence[bool], edge: str) -> None:
    """Give both of a pair of brackets one direction: N0."""
    other = "L" if edge == "R" else "R"
    for first, last in _pairs(chars, kinds):
        inside = {_strong(kind) for kind in kinds[first + 1 : last]}
        if edge in inside:
            found = edge
        elif other in inside:
            before = (_strong(kind) for kind in reversed(kinds[:first]))
            found = other if next((k for k in before if k), edge) == other else edge
        else:
            continue
        for bracket in (first, last):
            kinds[bracket] = found
            at = bracket + 1
            while at < len(kinds) and marks[at]:
                kinds[at] = found
                at += 1


def _pairs(chars: Sequence[str], kinds: Sequence[str]) -> list[tuple[int, int]]:
    waiting, found = list[tuple[str, int]](), list[tuple[int, int]]()
    for at, char in enumerate(chars):
        if kinds[at] != "ON":
            continue
        if (closing := _CLOSING.get(char)) is not None:
            if len(waiting) == 63:  # the limit of rule BD16
                return []
            waiting.append((closing, at))
        elif char in _OPENING:
            for depth in range(len(waiting) - 1, -1, -1):
                if waiting[depth][0] == char:
                    found.append((waiting[depth][1], at))
                    del waiting[depth:]
                    break
    return sorted(found)


def _strong(kind: str) -> str:
    return kind if kind == "L" else "R" if kind in {"R", "EN", "AN"} else ""


def _neutral(kinds: list[str], edge: str) -> None:
    """Give what has no direction that of its neighbours, if they agree: N1, N2."""
    at = 0
    while at < len(kinds):
        if kinds[at] not in _NEUTRAL:
            at += 1
            continue
        end = at
        while end < len(kinds) and kinds[end] in _NEUTRAL:
            end += 1
        left = _strong(kinds[at - 1]) if at else edge
        right = _strong(kinds[end]) if end < len(kinds) else edge
        kinds[at:end] = [left if left == right else edge] * (end - at)
        at = end


def reordered(runs: Sequence[T], levels: Sequence[int]) -> list[T]:
    """Return the runs of a line from left to right: L2."""
    if len(set(levels)) < 2:  # most lines run one way
        return [*reversed(runs)] if levels and levels[0] % 2 else [*runs]
    order = list(range(len(runs)))
    for level in range(max(levels, default=0), 0, -1):
        at = 0
        while at < len(order):
            end = at
            while end < len(order) and levels[order[end]] >= level:
                end += 1
            order[at:end] = order[at:end][::-1]
            at = max(end, at + 1)
    return [runs[at] for at in order]


def mirrored(text: str) -> str:
    """Return a run without shaping as it stands from right to left: L2 and L4."""
    return text.translate(_MIRRORED)[::-1]
