"""What users want: setting and asking. The rules themselves are in ``notify.preferences``."""

from collections.abc import Mapping
from typing import Any

from .._common.home import at_home
from ..arguments import check_user
from ..errors import BackendError
from ..models import NotificationPreferences
from ..preferences import decode, encode, from_mapping, without
from ..validation import check_preferences
from .base import ServiceBase

_TRIES = 100


class Preferences(ServiceBase):
    """The users' own layer of the preferences."""

    @at_home
    async def set_preferences(
        self, user_id: str, preferences: NotificationPreferences | Mapping[str, Any]
    ) -> None:
        """Store what a user wants; it holds at once, also for what waits in the outbox.

        Raises:
            InvalidPreferences: A channel, zone or quiet hour does not exist.
        """
        check_user(user_id)
        prefs = from_mapping(preferences) if isinstance(preferences, Mapping) else preferences
        check_preferences(prefs, self._parts.known)
        await self.store.set_preferences(user_id, encode(prefs), self.clock.time())

    @at_home
    async def unsubscribe(self, token: str) -> bool:
        """Do what a link of one-click unsubscription says: its category, or channel, is off.

        Idempotent. Other preferences stay as they are.

        Args:
            token: What stands in the link after ``unsubscribe.url``.

        Returns:
            Whether the token is one of ours and has not ended.

        Raises:
            BackendError: The store failed.
        """
        wish = self._parts.delivery.links.read(token, self.clock.time())
        if wish is None:
            return False
        layers, known = self._parts.delivery.layers, self._parts.known
        # two links followed at once: neither takes back what the other did
        for _ in range(_TRIES):
            was = await self.store.get_preferences(wish.user_id)
            own = without(decode(was), layers, wish.channel, wish.category, known)
            new = encode(own)
            if await self.store.swap_preferences(wish.user_id, new, was, self.clock.time()):
                return True
        raise BackendError("the preferences change all the time; try again", retryable=True)

    @at_home
    async def can_unsubscribe(self, token: str) -> bool:
        """Return whether a token is one of ours and has not ended; changes nothing."""
        return self._parts.delivery.links.read(token, self.clock.time()) is not None

    @at_home
    async def get_preferences(self, user_id: str) -> NotificationPreferences:
        """Return what a user wants, with the defaults where they say nothing."""
        check_user(user_id)
        stored = decode(await self.store.get_preferences(user_id))
        return self._parts.delivery.layers.effective(stored)
