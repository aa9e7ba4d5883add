"""What callers ask with (users, ids, pages, cursors, filters, times), checked before any I/O."""

import math
from datetime import datetime, timedelta
from typing import Any

from .errors import ConfigurationError, InvalidNotification
from .models import DeliveryFilters, DeliveryStatus, NotificationFilters
from .validation import MAX_ID, check_line

_LAST = 1 << 62


def check_user(user_id: Any) -> None:
    """Refuse what cannot be the id of a user.

    Raises:
        ConfigurationError: It is no text of one line, is empty or too long.
    """
    try:
        check_line("user_id", user_id, MAX_ID)
    except InvalidNotification as exc:
        raise ConfigurationError(str(exc)) from None


def is_id(notification_id: Any) -> bool:
    """Whether it can be the id of a notification; what cannot is nobody's."""
    try:
        check_line("id", notification_id, MAX_ID)
    except InvalidNotification:
        return False
    return True


def check_page(limit: Any) -> None:
    """Refuse a page of no size.

    Raises:
        ConfigurationError: It is not 1 to 500.
    """
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= 500:
        raise ConfigurationError(f"limit must be 1 to 500, not {limit!r}")


def inbox_cursor(cursor: Any) -> int | None:
    """Return the place in the inbox that a cursor of ours names.

    Raises:
        ConfigurationError: It is none of ours.
    """
    if cursor is None:
        return None
    if isinstance(cursor, str) and cursor.isascii() and cursor.isdecimal() and len(cursor) < 19:
        return int(cursor)
    raise ConfigurationError(f"not a cursor: {repr(cursor)[:40]}; take a page's next_cursor")


def check_deliveries_cursor(cursor: Any) -> None:
    """Refuse a cursor that is not ours.

    Raises:
        ConfigurationError: It is none of ours.
    """
    if cursor is None:
        return
    at, _, last = cursor.partition(":") if isinstance(cursor, str) else ("", "", "")
    if not (at.isascii() and at.replace(".", "", 1).isdecimal() and len(at) < 40 and is_id(last)):
        raise ConfigurationError(f"not a cursor: {repr(cursor)[:40]}; take a page's next_cursor")


def check_since(since: Any) -> None:
    """Refuse what is no place in a sequence.

    Raises:
        ConfigurationError: It is no whole number from 0.
    """
    if since is None or (
        isinstance(since, int) and not isinstance(since, bool) and 0 <= since < _LAST
    ):
        return
    raise ConfigurationError(f"since must be the seq of an event, or 0, not {repr(since)[:40]}")


def seconds_to_wait(wait: Any) -> float:
    """Return ``wait`` in seconds.

    Raises:
        ConfigurationError: It is no number or timedelta from 0.
    """
    given = wait.total_seconds() if isinstance(wait, timedelta) else wait
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if is_number and not math.isnan(given) and given >= 0:
        return float(given)
    raise ConfigurationError(f"wait must be seconds from 0, or a timedelta, not {repr(wait)[:40]}")


def moment(name: str, value: Any) -> float | None:
    """Return an aware datetime in seconds since the epoch.

    Raises:
        ConfigurationError: It is no datetime, or has no time zone.
    """
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ConfigurationError(f"{name} must be a datetime with a time zone")
    try:
        return value.timestamp()
    except (OverflowError, ValueError):
        raise ConfigurationError(f"{name} is out of range") from None


def check_filter(name: str, value: Any) -> None:
    """Refuse what no field could be equal to.

    Raises:
        ConfigurationError: It is neither None nor a text of one line.
    """
    if value is not None and not is_id(value):
        raise ConfigurationError(f"{name} must be a text of 1 to {MAX_ID} characters, or None")


def check_flag(name: str, value: Any) -> None:
    """Refuse what is neither true nor false: any text is true to Python, ``"no"`` too.

    Raises:
        ConfigurationError: It is none.
    """
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False, not {repr(value)[:40]}")


def check_inbox_filters(filters: Any) -> NotificationFilters:
    """Return the filters of an inbox; those that let everything through if None.

    Raises:
        ConfigurationError: They are no ``NotificationFilters``, or a field cannot be followed.
    """
    chosen = NotificationFilters() if filters is None else filters
    if not isinstance(chosen, NotificationFilters):
        raise ConfigurationError(f"filters are NotificationFilters, not {type(filters).__name__}")
    check_flag("unread_only", chosen.unread_only)
    if chosen.archived is not None:
        check_flag("archived", chosen.archived)
    check_filter("type", chosen.type)
    check_filter("category", chosen.category)
    moment("since", chosen.since)
    moment("before", chosen.before)
    return chosen


def check_delivery_filters(filters: Any) -> DeliveryFilters:
    """Return the filters of deliveries; those that let everything through if None.

    Raises:
        ConfigurationError: They are no ``DeliveryFilters``, or a field cannot be followed.
    """
    chosen = DeliveryFilters() if filters is None else filters
    if not isinstance(chosen, DeliveryFilters):
        raise ConfigurationError(f"filters are DeliveryFilters, not {type(filters).__name__}")
    for name in ("status", "channel", "user_id", "notification_id"):
        check_filter(name, getattr(chosen, name))
    if chosen.status is not None and chosen.status not in set(DeliveryStatus):
        raise ConfigurationError(f"status must be one of {', '.join(DeliveryStatus)}")
    return chosen
