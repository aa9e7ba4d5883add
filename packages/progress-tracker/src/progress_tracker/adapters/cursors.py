"""Cursors of listings: where the last page ended."""

from collections.abc import Sequence

from ..errors import ConfigurationError
from ..ports import Record


def cursor_of(found: Sequence[Record], limit: int) -> str | None:
    """Return the cursor after ``limit`` of ``found``; None if that was all."""
    if len(found) <= limit:
        return None
    last = found[limit - 1]
    return f"{last.created_at!r}:{last.id}"


def after(cursor: str | None) -> tuple[float, str] | None:
    """Return time and id of the last record that was seen.

    Raises:
        ConfigurationError: It is not a cursor.
    """
    if cursor is None:
        return None
    moment, colon, id = cursor.partition(":")
    try:
        place = float(moment)
    except ValueError:
        place = float("nan")
    if not colon or place != place:  # noqa: PLR0124  NaN is the only float unequal to itself
        raise ConfigurationError(f"not a cursor of a listing: {ascii(cursor)[:60]}")
    return place, id
