"""Push messages by OneSignal's REST API."""

import uuid
from typing import Any, Literal

from ...errors import ChannelError, ConfigurationError
from ...ports import Capabilities, Message
from .base import HTTPChannel, Reply, needed
from .cutting import shortened

_SPACE = uuid.UUID("6f6e6573-6967-4e61-8c6e-6f7469667921")
# by name, lists of addresses; of aliases a list for each of their kinds
_ERRORS = ("invalid_player_ids", "invalid_aliases", "invalid_external_user_ids")
Target = Literal["subscription", "external_id"]


class OneSignalChannel(HTTPChannel):
    """Sends push messages through OneSignal, which drops a message that it has by its key."""

    capabilities = Capabilities(idempotent=True)
    base = "https://api.onesignal.com"
    required = ("app_id", "api_key")

    def __init__(
        self,
        app_id: str,
        api_key: str,
        *,
        target: Target = "external_id",
        name: str = "push",
        **base: Any,
    ) -> None:
        """Send for the app ``app_id``.

        Args:
            app_id: Of the app.
            api_key: The app's.
            target: What addresses are: ``external_id`` (the application's own user ids) or
                ``subscription`` (OneSignal's ids of devices).
            name: The notification channel that it serves.
            base: ``base_url``, ``timeout`` and ``clock`` as of every HTTP provider.

        Raises:
            ConfigurationError: ``target`` is another word.
        """
        super().__init__(name, "onesignal", **base)
        needed("onesignal", app_id=app_id, api_key=api_key)
        if target not in {"subscription", "external_id"}:
            raise ConfigurationError(
                f"onesignal: target must be subscription or external_id, not {target!r}"
            )
        self._app_id, self._target = app_id, target
        self._headers = {"Authorization": f"Key {api_key}"}

    async def send(self, message: Message) -> str | None:
        body: dict[str, Any] = {
            "app_id": self._app_id,
            "target_channel": "push",
            "headings": {"en": message.subject},
            "contents": {"en": shortened(message.text or message.subject, 2000)},
            "data": {"notificationId": message.notification_id, "type": message.type},
            # they take only UUIDs
            "idempotency_key": str(uuid.uuid5(_SPACE, message.key)),
        }
        if self._target == "subscription":
            body["include_subscription_ids"] = [message.recipient.address]
        else:
            body["include_aliases"] = {"external_id": [message.recipient.address]}
        if message.action_url is not None and message.action_url.startswith("http"):
            body["url"] = message.action_url
        if message.critical:
            body["priority"] = 10
        if message.expires_at is not None:
            body["ttl"] = max(1, int(message.expires_at - self._clock.time()))
        reply = await self._taken("/notifications?c=push", json=body, headers=self._headers)
        answer = reply.json()
        if not isinstance(answer.get("id"), str):
            raise self.no_answer(reply)  # the next attempt has the same key
        if not answer["id"]:
            # 200 with an empty id: nobody was there to send it to
            raise ChannelError("onesignal 200 no_subscribers", invalid_recipient=True)
        if message.recipient.address in _invalid(answer):
            raise ChannelError("onesignal 200 invalid_recipient", invalid_recipient=True)
        return str(answer["id"])

    def names_recipient(self, reply: Reply, code: str) -> bool:
        return bool(_invalid(reply.json()))


def _invalid(answer: dict[str, Any]) -> list[str]:
    """Return the addresses that an answer calls no good, also one of a success."""
    errors: Any = answer.get("errors")
    found = list[str]()
    for name in _ERRORS if isinstance(errors, dict) else ():
        given = errors.get(name)
        for each in given.values() if isinstance(given, dict) else [given]:
            found += map(str, each if isinstance(each, list) else [] if each is None else [each])
    return found
