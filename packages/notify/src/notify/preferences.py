"""Which channels a notification takes, and whether and when each may be used."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from .errors import BackendError, InvalidPreferences
from .models import CategoryChoice, Notification, NotificationChannel, NotificationPreferences
from .quiet import quiet_until
from .settings import CategorySettings, PreferenceSettings
from .stored import (
    Cancels,
)

_NAMES = {"channels", "categories", "quiet_hours", "timezone", "locale"}


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a channel may be used now.

    Attributes:
        refused: Why it must not be used at all.
        until: Until when it has to wait.
    """

    refused: str | None = None
    until: datetime | None = None


def from_mapping(value: Mapping[str, Any]) -> NotificationPreferences:
    """Return preferences from their plain shape.

    Raises:
        InvalidPreferences: A key is unknown, or as in the constructor.
    """
    if unknown := sorted(str(key) for key in value.keys() - _NAMES):
        raise InvalidPreferences(
            f"unknown key {unknown[0][:60]!r}; known: {', '.join(sorted(_NAMES))}"
        )
    given = dict(value)
    if given.get("categories", {}) is None:
        del given["categories"]
    return NotificationPreferences(**given)


def encode(prefs: NotificationPreferences) -> bytes:
    """Return preferences as stored."""
    return msgspec.json.encode(plain(prefs))


def plain(prefs: NotificationPreferences) -> dict[str, Any]:
    """Return preferences in their plain shape, quiet hours as a list (empty: none at all)."""
    return {
        "channels": None if prefs.channels is None else [str(each) for each in prefs.channels],
        "categories": dict(prefs.categories),
        "quiet_hours": None
        if prefs.quiet_hours is None
        else [
            {
                "start": each.start,
                "end": each.end,
                "timezone": each.timezone,
                "weekdays": None if each.weekdays is None else list(each.weekdays),
            }
            for each in prefs.windows
        ],
        "timezone": prefs.timezone,
        "locale": prefs.locale,
    }


def decode(data: bytes | None) -> NotificationPreferences | None:
    """Return stored preferences; None where there are none."""
    if data is None:
        return None
    try:
        value = msgspec.json.decode(data, type=dict[str, Any])
        # written by a newer release, perhaps
        return from_mapping({key: item for key, item in value.items() if key in _NAMES})
    except (msgspec.MsgspecError, InvalidPreferences):
        raise BackendError("stored preferences cannot be read") from None


class Layers:
    """The layers default < category < user."""

    def __init__(self, settings: PreferenceSettings) -> None:
        """Use the two lower layers of the settings."""
        self._settings, self._default = settings, settings.defaults()

    def effective(self, user: NotificationPreferences | None) -> NotificationPreferences:
        """Return what holds for a user: theirs, and the defaults where they say nothing."""
        if user is None:
            return self._default
        base = self._default
        return NotificationPreferences(
            channels=base.channels if user.channels is None else user.channels,
            categories={**base.categories, **user.categories},
            quiet_hours=base.quiet_hours if user.quiet_hours is None else user.quiet_hours,
            timezone=user.timezone or base.timezone,
            locale=user.locale or base.locale,
        )

    def category(self, name: str | None) -> CategorySettings:
        """Return the settings of a category."""
        return self._settings.categories.get(name or "", CategorySettings())

    def channels(
        self, notification: Notification, user: NotificationPreferences | None
    ) -> tuple[str, ...]:
        """Return the channels that a notification takes, each once."""
        chosen: Collection[str] | None = notification.channels
        if chosen is None and user is not None:
            chosen = user.channels
        if chosen is None:
            chosen = self.category(notification.category).channels
        if chosen is None:
            chosen = self._default.channels
        if chosen is None:
            chosen = (NotificationChannel.IN_APP,)
        return tuple(dict.fromkeys(str(each) for each in chosen))

    def decide(
        self,
        notification: Notification,
        channel: str,
        user: NotificationPreferences | None,
        now: datetime,
    ) -> Decision:
        """Return whether ``channel`` may be used at ``now``.

        In-app makes no noise: quiet hours do not hold it.
        """
        wishes, critical = self.effective(user), notification.priority == "critical"
        if wishes.channels is not None and channel not in set(map(str, wishes.channels)):
            return Decision(refused="channel_off")
        if critical:
            return Decision()
        rules = self.category(notification.category)
        if not self._wants(notification.category, channel, user, rules):
            return Decision(refused="category_off")
        if channel == NotificationChannel.IN_APP or not rules.quiet_hours:
            return Decision()
        return Decision(until=quiet_until(wishes.windows, now, wishes.timezone))

    def _wants(
        self,
        category: str | None,
        channel: str,
        user: NotificationPreferences | None,
        rules: CategorySettings,
    ) -> bool:
        name = category or ""
        layers: list[CategoryChoice | None] = [
            None if user is None else user.categories.get(name),
            rules.enabled if name in self._settings.categories else None,
            self._default.categories.get(name),
        ]
        for choice in layers:
            said = choice.get(channel) if isinstance(choice, Mapping) else choice
            if said is not None:
                return said
        return True

    def cancels(self) -> Cancels:
        """Return for which categories reading cancels what has not gone out."""
        default = self._settings.cancel_on_read
        other = tuple(
            sorted(
                name
                for name, rules in self._settings.categories.items()
                if rules.cancel_on_read is not None and rules.cancel_on_read != default
            )
        )
        return Cancels(default, other)
