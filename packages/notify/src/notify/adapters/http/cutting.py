"""Texts that must fit into what a provider takes."""

from collections.abc import Mapping

import msgspec

_LINE = 80  # bytes


def shortened(text: str, most: int) -> str:
    """Return ``text`` without white space around it, cut to ``most`` characters."""
    text = text.strip()
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def cut_to_bytes(text: str, most: int) -> str:
    """Return ``text`` without white space around it, cut to ``most`` bytes of UTF-8."""
    text = text.strip()
    data = text.encode()
    if len(data) <= most:
        return text
    return f"{data[: most - 3].decode(errors='ignore').rstrip()}…"


def fitting(fields: Mapping[str, str | None], text: str, most: int) -> tuple[dict[str, str], str]:
    """Return the fields that are given, and the text, so that both fit into ``most`` bytes of JSON.

    The text is cut, though not to less than a line: before that the last fields are left out.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    text = text.strip()
    line = min(_size(text), _LINE)
    while (room := most - len(msgspec.json.encode(given))) < line and given:
        given.popitem()
    return given, _cut_to_json(text, room)


def _cut_to_json(text: str, most: int) -> str:
    if _size(text) <= most:
        return text
    kept, more = 0, len(text)
    while kept < more:
        middle = (kept + more + 1) // 2
        if _size(text[:middle]) <= most - 3:  # the ellipsis has three bytes
            kept = middle
        else:
            more = middle - 1
    return f"{text[:kept].rstrip()}…"


def _size(text: str) -> int:
    """Return how many bytes a text has within JSON, which escapes some letters."""
    return len(msgspec.json.encode(text)) - 2
