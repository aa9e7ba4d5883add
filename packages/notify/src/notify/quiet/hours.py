"""Quiet hours: windows of local wall time, and the instants at which they begin and end.

A window belongs to the day on which it starts. Its ends are resolved to instants once: a start
that the clocks repeat is the first occurrence, an end that they repeat is the second, and a time
that they skip is the moment of the jump. So a window is one stretch of time on every day, nothing
goes out early, and at the end that is computed it is never still quiet.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..errors import InvalidPreferences

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_WEEK = 7 * 1440


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A daily window in which only in-app notifications and critical ones go out.

    Attributes:
        start: ``HH:MM`` wall time, included.
        end: ``HH:MM`` wall time, excluded; before ``start`` means on the next day.
        timezone: IANA zone; the user's if None.
        weekdays: On which days a window starts (``mon`` … ``sun``, or 0 for Monday); every day if
            None.
    """

    start: str
    end: str
    timezone: str | None = None
    weekdays: Sequence[str | int] | None = None

    def __post_init__(self) -> None:
        """Check every part.

        Raises:
            InvalidPreferences: A time, zone or day does not exist, or start and end are equal.
        """
        if minutes(self.start) == minutes(self.end):
            raise InvalidPreferences(f"quiet hours start and end at the same time {self.start!r}")
        if self.timezone is not None:
            check_zone(self.timezone)
        if self.weekdays is not None:
            object.__setattr__(self, "weekdays", named_days(self.weekdays))

    @classmethod
    def of(cls, value: Any) -> "QuietHours":
        """Return ``value``, which may be a mapping with ``start`` and ``end``.

        Raises:
            InvalidPreferences: A key is unknown or missing, or as in the constructor.
        """
        if isinstance(value, QuietHours):
            return value
        known = {"start", "end", "timezone", "weekdays"}
        if not isinstance(value, Mapping) or not {"start", "end"} <= value.keys() <= known:
            raise InvalidPreferences("quiet hours have the keys start, end, timezone and weekdays")
        return cls(**value)

    @property
    def days(self) -> frozenset[int]:
        """The days on which a window starts, 0 is Monday."""
        return days_of(self.weekdays)


def days_of(weekdays: Sequence[str | int] | None) -> frozenset[int]:
    """Return named days as numbers, 0 is Monday; None is every day."""
    return frozenset(DAYS.index(str(day)) for day in (DAYS if weekdays is None else weekdays))


def minutes(text: Any) -> int:
    """Return ``HH:MM`` in minutes.

    Raises:
        InvalidPreferences: It is no time of day.
    """
    found = _TIME.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise InvalidPreferences(f"not a time of day: {text!r}; expected HH:MM")
    return int(found[1]) * 60 + int(found[2])


def check_zone(name: Any) -> ZoneInfo:
    """Return the IANA zone ``name``.

    Raises:
        InvalidPreferences: There is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError, AttributeError):
        shown = repr(name)[:60]
        raise InvalidPreferences(
            f"unknown time zone {shown}; expected a name like 'Europe/Berlin'"
        ) from None


def named_days(given: Any) -> tuple[str, ...]:
    """Return weekdays by their names, in their order.

    Raises:
        InvalidPreferences: One is no day, or there are none.
    """
    many: list[Any] = (
        [given] if isinstance(given, str) or not hasattr(given, "__iter__") else [*given]
    )
    # True is no Tuesday
    names = [DAYS[day] if type(day) is int and 0 <= day < 7 else str(day) for day in many]
    if not names or any(day not in DAYS for day in names):
        raise InvalidPreferences(f"weekdays are {', '.join(DAYS)} or 0 to 6, not {given!r}"[:200])
    return tuple(day for day in DAYS if day in names)


def check_coverage(windows: Sequence[QuietHours]) -> None:
    """Refuse windows that leave no minute of the week, as nothing would ever go out.

    Raises:
        InvalidPreferences: They do (taken as if all were in one zone).
    """
    covered = bytearray(_WEEK)
    for window in windows:
        first, last = minutes(window.start), minutes(window.end)
        length = (last - first) % 1440
        for day in window.days:
            begin = day * 1440 + first
            end = begin + length
            covered[begin:end] = b"\1" * (min(end, _WEEK) - begin)
            covered[: max(0, end - _WEEK)] = b"\1" * max(0, end - _WEEK)
    # an hour must be left: DST can swallow one, and zones of several windows may differ
    if windows and covered.count(0) < 60:
        raise InvalidPreferences("quiet hours leave less than an hour of the week")


def quiet_until(
    windows: Sequence[QuietHours], moment: datetime, timezone: str | None = None
) -> datetime | None:
    """Return when the quiet that reigns at ``moment`` ends; None if none does.

    Args:
        windows: The user's quiet hours.
        moment: An aware datetime.
        timezone: The zone of windows without one; UTC if None.

    Returns:
        The first instant at or after ``moment`` that lies in no window, in UTC.
    """
    # in UTC: times that a zone repeats equal no time of another zone
    asked = now = moment.astimezone(UTC)
    # windows can follow each other without a pause, but check_coverage leaves one a week
    for _ in range(15 * max(1, len(windows))):
        ends = [end for window in windows if (end := _end(window, now, timezone)) is not None]
        if not ends:
            break
        now = max(ends)
    return None if now == asked else now


def _end(window: QuietHours, now: datetime, timezone: str | None) -> datetime | None:
    zone = ZoneInfo(window.timezone or timezone or "UTC")
    today = now.astimezone(zone).date()
    ends = [
        end
        # two days back: zones have skipped a whole day
        for day in (today + timedelta(days=n) for n in (-2, -1, 0, 1))
        for start, end in [_window(window, day, zone)]
        if day.weekday() in window.days and start <= now < end
    ]
    return max(ends, default=None)


@functools.lru_cache(4096)
def _window(window: QuietHours, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    first, last = minutes(window.start), minutes(window.end)
    until = day + timedelta(days=1) if last < first else day
    return instant_of(day, first, zone, fold=0), instant_of(until, last, zone, fold=1)


def instant_of(day: date, minute: int, zone: ZoneInfo, *, fold: int) -> datetime:
    """Return the instant of a wall time, as the module's docstring says."""
    wall = datetime.combine(day, time(minute // 60, minute % 60), tzinfo=zone)
    early = wall.replace(fold=1).astimezone(UTC)
    late = wall.replace(fold=0).astimezone(UTC)
    if early < late:  # only where the clocks skip it
        return _jump(early, late, zone)
    return wall.replace(fold=fold).astimezone(UTC)


def _jump(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """Return the first second after ``low`` at which the offset of ``high`` holds."""
    offset = high.astimezone(zone).utcoffset()
    step = int((high - low).total_seconds())
    first, last = 0, step
    while first < last:
        middle = (first + last) // 2
        if (low + timedelta(seconds=middle)).astimezone(zone).utcoffset() == offset:
            last = middle
        else:
            first = middle + 1
    return low + timedelta(seconds=last)
