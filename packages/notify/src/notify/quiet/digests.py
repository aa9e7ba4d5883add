"""When digests go out: at the end of windows of equal length, or at a time of day in a zone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ..errors import InvalidPreferences
from .hours import check_zone, days_of, instant_of, minutes, named_days

_YEAR = 366 * 86_400


@dataclass(frozen=True, slots=True)
class DailyDigest:
    """A digest at a time of day: every morning at eight, on Mondays at nine.

    Where the clocks skip that time it goes out at the moment of the jump; where they repeat it, at
    the first of the two, once.

    Attributes:
        at: ``HH:MM`` wall time.
        weekdays: On which days (``mon`` … ``sun``, or 0 for Monday); every day if None.
        timezone: IANA zone; the user's if None, and UTC if they have none.
    """

    at: str
    weekdays: Sequence[str | int] | None = None
    timezone: str | None = None

    def __post_init__(self) -> None:
        """Check every part.

        Raises:
            InvalidPreferences: The time, a day or the zone does not exist.
        """
        minutes(self.at)
        if self.timezone is not None:
            check_zone(self.timezone)
        if self.weekdays is not None:
            object.__setattr__(self, "weekdays", named_days(self.weekdays))

    def next(self, now: float, timezone: str | None) -> float:
        """Return when the next one after ``now`` goes out, in seconds since the epoch.

        Args:
            now: Seconds since the epoch.
            timezone: The user's zone; UTC if None.
        """
        zone = ZoneInfo(self.timezone or timezone or "UTC")
        moment, wanted, noon = datetime.fromtimestamp(now, UTC), days_of(self.weekdays), 12 * 60
        today = moment.astimezone(zone).date()
        # more than a week: a zone has skipped a whole day, which has no digest
        for day in (today + timedelta(days=n) for n in range(16)):
            there = instant_of(day, noon, zone, fold=0).astimezone(zone).date() == day
            found = instant_of(day, minutes(self.at), zone, fold=0)
            if there and day.weekday() in wanted and found > moment:
                return found.timestamp()
        raise AssertionError("a week has every day")  # zones have skipped one day, never a week


AnyDigest = float | str | Mapping[str, Any] | DailyDigest
"""Seconds of a window (0: no digest), ``HH:MM``, or a :class:`DailyDigest`, also as a mapping."""


def digest_of(value: Any) -> float | DailyDigest:
    """Return what ``value`` means.

    Raises:
        InvalidPreferences: It is none of :data:`AnyDigest`.
    """
    if isinstance(value, DailyDigest):
        return value
    if isinstance(value, str):
        return DailyDigest(value)
    if isinstance(value, Mapping):
        if not {"at"} <= value.keys() <= {"at", "weekdays", "timezone"}:
            raise InvalidPreferences("a daily digest has the keys at, weekdays and timezone")
        return DailyDigest(**value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _YEAR:
        raise InvalidPreferences("a digest is a time of day, or a window of 0 seconds to a year")
    return value


def next_digest(digest: float | DailyDigest, now: float, timezone: str | None) -> float | None:
    """Return when what comes ``now`` goes out; None at once.

    Windows of seconds end at the same times for everybody; what comes during a flush is in the
    next.
    """
    if isinstance(digest, DailyDigest):
        return digest.next(now, timezone)
    return (now // digest + 1) * digest if digest else None


def plain_digest(value: Any) -> Any:
    """Return a digest in its plain shape."""
    if not isinstance(found := digest_of(value), DailyDigest):
        return found
    made = {"at": found.at, "weekdays": found.weekdays, "timezone": found.timezone}
    return {name: each for name, each in made.items() if each is not None}
