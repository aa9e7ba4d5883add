"""What a user wants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidPreferences
from ..quiet import QuietHours, check_coverage, check_zone
from .notification import NotificationChannel

CategoryChoice = bool | Mapping[str, bool]
AnyQuietHours = QuietHours | Mapping[str, Any]


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
    """

    channels: Sequence[NotificationChannel | str] | None = None
    categories: Mapping[str, CategoryChoice] = field(default_factory=dict)
    quiet_hours: AnyQuietHours | Sequence[AnyQuietHours] | None = None
    timezone: str | None = None
    locale: str | None = None

    def __post_init__(self) -> None:
        """Check zone and quiet hours and bring them into one shape.

        Raises:
            InvalidPreferences: A zone or time does not exist, or no hour is left.
        """
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
