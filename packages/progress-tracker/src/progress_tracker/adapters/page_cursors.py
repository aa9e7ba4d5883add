"""Cursors of listings: where the last page ended."""

import math
from collections.abc import Sequence
from typing import Any

from ..errors import ConfigurationError
from ..ports import Record
from ..rules.checks import shown


def cursor_of(found: Sequence[Record], limit: int) -> str | None:
    """Return the cursor after ``limit`` of ``found``; None if that was all."""
    if len(found) <= limit:
        return None
    last = found[limit - 1]
    return f"{last.created_at!r}:{last.id}"


def after(cursor: Any) -> tuple[float, str] | None:
    """Return time and id of the last record that was seen.

    Raises:
        ConfigurationError: It is not a cursor.
    """
    if cursor is None:
        return None
    moment, colon, id = cursor.partition(":") if isinstance(cursor, str) else ("", "", "")
    try:
        place = float(moment)
    except ValueError:
        place = float("nan")
    if not colon or not math.isfinite(place) or not id.isprintable():
        raise ConfigurationError(f"not a cursor of a listing: {shown(cursor)}")
    return place, id
