"""Which channels a notification takes, and whether and when each may be used."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from .errors import BackendError, InvalidPreferences
from .models import (
    CategoryChoice,
    Notification,
    NotificationChannel,
    NotificationPreferences,
    RateLimit,
)
from .quiet import digest_of, next_digest, plain_digest, quiet_until
from .settings import CategorySettings, PreferenceSettings, RateSettings
from .stored import (
    Cancels,
)

_NAMES = {
    "channels", "categories", "quiet_hours", "timezone", "locale", "digests", "limits", "muted",
}  # fmt: skip
_IN_APP = str(NotificationChannel.IN_APP)
_USUAL = (_IN_APP,)
_PLAIN = CategorySettings()


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a channel may be used now.

    Attributes:
        refused: Why it must not be used at all.
        until: Until when it has to wait.
    """

    refused: str | None = None
    until: datetime | None = None


_FREE = Decision()


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
    for name in ("categories", "digests", "limits", "muted"):
        if given.get(name, {}) is None:
            del given[name]
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
        "digests": {name: plain_digest(each) for name, each in prefs.digests.items()},
        "limits": {
            name: {"limit": each.limit, "window": each.window}
            for name, each in _limits(prefs).items()
        },
        **({"muted": [str(each) for each in prefs.muted]} if prefs.muted else {}),
    }


def _limits(prefs: NotificationPreferences) -> dict[str, RateLimit]:
    return {name: RateLimit.of(each) for name, each in prefs.limits.items()}


def rate_of(
    rates: RateSettings, wishes: NotificationPreferences, channel: str
) -> tuple[int, float] | None:
    """Return how many messages in how many seconds a user gets over ``channel``; None if any.

    Of what the user wants and what the operator allows the stricter holds: nobody has texts without
    limit sent at the operator's cost by wishing for many.
    """
    given = [_limits(wishes).get(channel), rates.users.get(channel)]
    found = [(each.limit, each.window) for each in given if each is not None]
    return min(found, key=lambda each: each[0] / each[1], default=None)


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
            digests={**base.digests, **user.digests},
            limits={**base.limits, **user.limits},
            muted=(*base.muted, *user.muted),
        )

    def category(self, name: str | None) -> CategorySettings:
        """Return the settings of a category."""
        return self._settings.categories.get(name or "", _PLAIN)

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
        return _USUAL if chosen is None else tuple(dict.fromkeys(map(str, chosen)))

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
        if wishes.muted and channel in set(map(str, wishes.muted)):
            return Decision(refused="channel_off")
        if critical:
            return _FREE
        rules = self.category(notification.category)
        if not self._wants(notification.category, channel, user, rules):
            return Decision(refused="category_off")
        if channel == _IN_APP or not rules.quiet_hours:
            return _FREE
        return Decision(until=quiet_until(wishes.windows, now, wishes.timezone))

    def _wants(
        self,
        category: str | None,
        channel: str,
        user: NotificationPreferences | None,
        rules: CategorySettings,
    ) -> bool:
        name = category or ""
        layers: tuple[CategoryChoice | None, ...] = (
            None if user is None else user.categories.get(name),
            rules.enabled if name in self._settings.categories else None,
            self._default.categories.get(name),
        )
        for choice in layers:
            if choice is None:
                continue
            said = choice if isinstance(choice, bool) else choice.get(channel)
            if said is not None:
                return said
        return True

    def digest(
        self,
        notification: Notification,
        channel: str,
        user: NotificationPreferences | None,
        now: float,
    ) -> float | None:
        """Return when the digest goes out that collects it over ``channel``; None if none does."""
        if notification.priority == "critical" or channel == _IN_APP:
            return None
        name = notification.category or ""
        layers = [None if user is None else user.digests.get(name), self._default.digests.get(name)]
        layers.append(self.category(notification.category).digest)
        chosen = next((each for each in layers if each is not None), None)
        if chosen is None:
            return None
        return next_digest(digest_of(chosen), now, self.effective(user).timezone)

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


def without(
    user: NotificationPreferences | None,
    layers: Layers,
    channel: str,
    category: str | None,
    known: Collection[str] = (),
) -> NotificationPreferences:
    """Return a user's preferences without a category over a channel; without the channel if None.

    What the layers below say stays theirs to say: only this one wish is added. ``known`` are all
    channels: a category that the user wants over every one is wanted over the others still.
    """
    own = user or NotificationPreferences()
    if category is None:
        wanted = layers.effective(user).channels
        if wanted is not None:
            return replace(own, channels=sorted({str(each) for each in wanted} - {channel}))
        # to name the others would make them what is used by default: the user would get texts
        return replace(own, muted=sorted({*map(str, own.muted), channel}))
    choice = own.categories.get(category)
    if choice is False:
        return own
    everywhere = dict.fromkeys(sorted(known), True) if choice is True else {}
    by_channel = dict(choice) if isinstance(choice, Mapping) else everywhere
    changed = {**own.categories, category: {**by_channel, channel: False}}
    return replace(own, categories=changed)
