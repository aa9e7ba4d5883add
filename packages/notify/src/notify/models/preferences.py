"""What a user wants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidPreferences
from ..quiet import AnyDigest, QuietHours, check_coverage, check_zone, digest_of
from .notification import NotificationChannel

_YEAR = 366 * 86_400
CategoryChoice = bool | Mapping[str, bool]
AnyQuietHours = QuietHours | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most so many messages in so much time.

    Attributes:
        limit: How many, 1 to 1,000,000.
        window: Seconds, up to a year.
    """

    limit: int
    window: float

    def __post_init__(self) -> None:
        """Check both.

        Raises:
            InvalidPreferences: One is no number or out of range.
        """
        given: tuple[Any, Any] = self.limit, self.window  # annotations bind nobody
        numbers = isinstance(given[0], int) and isinstance(given[1], int | float)
        if not numbers or True in {given[0] is True, given[1] is True}:
            raise InvalidPreferences("a limit is a whole number and a window of seconds")
        if not (0 < self.limit <= 1_000_000 and 0 < self.window <= _YEAR):
            raise InvalidPreferences("a limit is 1 to 1,000,000 in a window of up to a year")

    @classmethod
    def of(cls, value: Any) -> "RateLimit":
        """Return ``value``, which may be a mapping with ``limit`` and ``window``.

        Raises:
            InvalidPreferences: It is neither.
        """
        if isinstance(value, RateLimit):
            return value
        if not isinstance(value, Mapping) or set(value) != {"limit", "window"}:
            raise InvalidPreferences("a limit has the keys limit and window")
        return cls(value["limit"], value["window"])


@dataclass(frozen=True, slots=True)
class NotificationPreferences:
    """What a user wants; None and absent leave it to the category's and the default settings.

    Attributes:
        channels: The only channels that may be used; with none named by a notification, these are.
        categories: By category, whether it is wanted at all (bool) or by channel (mapping).
        quiet_hours: When nothing but in-app goes out; one or several. A mapping with ``start`` and
            ``end`` is understood too.
        timezone: The user's IANA zone, for quiet hours without one; UTC if None.
        locale: The user's language, for templates.
        digests: By category, when its notifications become one message on each channel but in-app:
            ``"08:00"`` every day in the user's zone, a ``DailyDigest`` (or a mapping with ``at``,
            ``weekdays``, ``timezone``) for some days, or the seconds of a window, whose ends are
            the same for everybody; 0 for each by itself.
        limits: By channel, the most messages that the user wants; a mapping with ``limit`` and
            ``window`` is understood too. Critical ones pass.
        muted: Channels that are off, whatever else is said; what is used by default stays so.
    """

    channels: Sequence[NotificationChannel | str] | None = None
    categories: Mapping[str, CategoryChoice] = field(default_factory=dict)
    quiet_hours: AnyQuietHours | Sequence[AnyQuietHours] | None = None
    timezone: str | None = None
    locale: str | None = None
    digests: Mapping[str, AnyDigest] = field(default_factory=dict)
    limits: Mapping[str, RateLimit | Mapping[str, Any]] = field(default_factory=dict)
    muted: Sequence[NotificationChannel | str] = ()

    def __post_init__(self) -> None:
        """Check zone, quiet hours, digests and limits.

        Raises:
            InvalidPreferences: A zone or time does not exist, no hour is left, or a number is out
                of range.
        """
        _check_digests(self.digests)
        given: Any = self.limits
        if not isinstance(given, Mapping) or len(given) > 50:
            raise InvalidPreferences("limits are a mapping of at most 50 channels")
        limits = {name: RateLimit.of(each) for name, each in self.limits.items()}
        object.__setattr__(self, "limits", limits)
        if self.timezone is not None:
            check_zone(self.timezone)
        check_coverage(self.windows)

    @property
    def windows(self) -> tuple[QuietHours, ...]:
        """The quiet hours as a tuple."""
        given: Any = self.quiet_hours
        if given is None:
            return ()
        if isinstance(given, QuietHours | Mapping):
            return (QuietHours.of(given),)
        if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > 50:
            raise InvalidPreferences("quiet_hours are an object, or a list of at most 50")
        return tuple(QuietHours.of(each) for each in given)


def _check_digests(given: Any) -> None:
    if not isinstance(given, Mapping) or len(given) > 500:
        raise InvalidPreferences("digests are a mapping of at most 500 categories")
    for value in given.values():
        digest_of(value)
