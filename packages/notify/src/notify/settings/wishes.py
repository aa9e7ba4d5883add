"""The layers below the users' own preferences."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ConfigurationError, InvalidPreferences
from ..models import NotificationPreferences
from ..quiet import digest_of
from .section import Positive, Section


class CategorySettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for a category unless the user says otherwise.

    Attributes:
        enabled: Whether it is sent at all, or by channel.
        channels: For notifications that name none.
        quiet_hours: Whether users' quiet hours hold for it.
        digest: When its notifications become one message on each channel but in-app: ``"08:00"`` in
            the user's zone, a mapping with ``at``, ``weekdays`` and ``timezone``, or the seconds of
            a window; None sends each by itself.
        unsubscribe: Whether its mails carry the link of one-click unsubscription.
        cancel_on_read: Whether reading it in the app cancels what has not gone out.
    """

    enabled: bool | Mapping[str, bool] = True
    channels: Sequence[str] | None = None
    quiet_hours: bool = True
    digest: Positive | str | Mapping[str, Any] | None = None
    unsubscribe: bool = True
    cancel_on_read: bool | None = None

    def __post_init__(self) -> None:
        """Refuse a digest at a time that does not exist."""
        if self.digest is not None:
            digest_of(self.digest)


class PreferenceSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The layers below the users' own preferences.

    Attributes:
        default: As a user's preferences: channels, categories, quiet_hours, timezone, locale.
        categories: By category.
        cancel_on_read: For categories that say nothing.
    """

    default: Mapping[str, Any] = {}
    categories: Mapping[str, CategorySettings] = {}
    cancel_on_read: bool = True

    def __post_init__(self) -> None:
        """Refuse defaults that are no preferences."""
        self.defaults()

    def defaults(self) -> NotificationPreferences:
        """Return the default layer.

        Raises:
            ConfigurationError: It is no valid preferences.
        """
        try:
            return NotificationPreferences(**self.default)
        except (TypeError, InvalidPreferences) as exc:
            raise ConfigurationError(f"preferences.default: {exc}") from exc
