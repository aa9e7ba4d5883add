"""Topics: users who want the same notifications."""

import dataclasses
from collections.abc import Sequence

from .._common.clock import new_id
from .._common.home import at_home
from ..arguments import check_user
from ..errors import InvalidNotification
from ..models import Notification
from ..validation import check_line
from .sending import Sending

_PAGE = 500
_LONGEST = 200


class Topics(Sending):
    """Memberships, and sending to all members."""

    @at_home
    async def subscribe_topic(self, topic: str, user_id: str) -> bool:
        """Make a user a member of ``topic``; return whether they were none.

        Raises:
            InvalidNotification: The topic is no line of 1 to 200 characters.
            ConfigurationError: The user's id is none.
        """
        check_line("topic", topic, _LONGEST)
        check_user(user_id)
        return await self.store.set_member(topic, user_id, self.clock.time(), member=True)

    @at_home
    async def unsubscribe_topic(self, topic: str, user_id: str) -> bool:
        """End a user's membership; return whether they were a member.

        Raises:
            InvalidNotification: The topic is no line of 1 to 200 characters.
            ConfigurationError: The user's id is none.
        """
        check_line("topic", topic, _LONGEST)
        check_user(user_id)
        return await self.store.set_member(topic, user_id, self.clock.time(), member=False)

    @at_home
    async def get_topics(self, user_id: str) -> Sequence[str]:
        """Return the topics of a user, sorted.

        Raises:
            ConfigurationError: The user's id is none.
        """
        check_user(user_id)
        return list(await self.store.topics(user_id))

    async def send_to_topic(self, topic: str, notification: Notification) -> int:
        """Send a notification to every member of ``topic``; return to how many.

        Each gets one of their own, made of ``notification`` but for its ``id`` and ``user_id``,
        which may be any: called again with the same ``idempotency_key`` after a failure, it
        reaches those whom it had not, and no one twice.

        Args:
            topic: Whose members; with none, nothing is sent.
            notification: What; without ``idempotency_key`` this call alone is the key.

        Raises:
            InvalidNotification: The topic or the notification is none.
            IdempotencyConflict: The key belongs to another notification of a member.
            BackendError: The store failed; call again with the same ``idempotency_key``.
        """
        check_line("topic", topic, _LONGEST)
        if not isinstance(notification, Notification):
            raise InvalidNotification(f"expected a Notification, not {type(notification).__name__}")
        key = notification.idempotency_key or f"topic:{new_id()}"
        count, after = 0, ""
        while users := await self._members(topic, after):
            after = users[-1]
            results = await self.send_bulk(
                [
                    dataclasses.replace(
                        notification, id=new_id(), user_id=each, idempotency_key=key
                    )
                    for each in users
                ]
            )
            for each in results:
                if each.error is not None:
                    raise each.error
            count += len(results)
        return count

    @at_home
    async def _members(self, topic: str, after: str) -> Sequence[str]:
        return await self.store.members(topic, after, _PAGE)
