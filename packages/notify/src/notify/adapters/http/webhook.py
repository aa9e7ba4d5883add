"""Signed webhooks, by the rules of Standard Webhooks (standardwebhooks.com, version 1.0)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import msgspec

from ...errors import ChannelError, ConfigurationError
from ...ports import Capabilities, Message
from .base import Reply, needed
from .guarded import GuardedChannel


class WebhookChannel(GuardedChannel):
    """Posts JSON to the recipient's address, signed by HMAC-SHA256.

    ``webhook-id`` is the same for every attempt, so that receivers can drop what they have. With
    several secrets each signs: a receiver may change from one to the next.
    """

    capabilities = Capabilities(idempotent=True)
    required = ("api_key",)

    def __init__(
        self,
        api_key: str | Sequence[str],
        *,
        name: str = "webhook",
        base_url: str | None = None,
        **base: Any,
    ) -> None:
        """Sign with ``api_key``.

        Args:
            api_key: One secret or several, each ``whsec_`` and base64 of 24 to 64 bytes.
            name: The notification channel that it serves.
            base_url: Where everything is sent, whatever the recipient's address is.
            base: ``allow_private`` (addresses of the own network, and plain http), ``timeout`` and
                ``clock``.

        Raises:
            ConfigurationError: A secret is too short, or is none.
        """
        super().__init__(name, "webhook", **base)
        given: list[Any] = [*api_key] if isinstance(api_key, list | tuple) else [api_key]
        for each in given:
            needed("webhook", api_key=each)
        self._secrets = [secret_of(each) for each in given]
        self._url = base_url
        if not self._secrets:
            raise ConfigurationError("webhook: at least one secret is needed")

    async def send(self, message: Message) -> str | None:
        content = msgspec.json.encode(_body(message))
        now = str(int(self._clock.time()))
        signed = f"{message.key}.{now}.".encode() + content
        made = [hmac.new(each, signed, hashlib.sha256).digest() for each in self._secrets]
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "notify",
            "webhook-id": message.key,
            "webhook-timestamp": now,
            "webhook-signature": " ".join(f"v1,{base64.b64encode(x).decode()}" for x in made),
        }
        await self._deliver(self._url or message.recipient.address, content, headers)
        return message.key

    def refusal(self, reply: Reply) -> ChannelError:
        if reply.status == 410:
            # "the receiver should disable": Standard Webhooks, section "Responding"
            return ChannelError("webhook 410", invalid_recipient=True)
        if 300 <= reply.status < 400:
            return ChannelError(f"webhook {reply.status}: redirects are not followed")
        return super().refusal(reply)


def secret_of(text: str) -> bytes:
    """Return the bytes of ``whsec_…``.

    Raises:
        ConfigurationError: It is none, or has not 24 to 64 bytes.
    """
    try:
        found = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if not 24 <= len(found) <= 64:
        raise ConfigurationError("a webhook secret is whsec_ and base64 of 24 to 64 bytes")
    return found


def _body(message: Message) -> dict[str, Any]:
    return {
        "type": "notification",
        "timestamp": message.created_at,
        "data": {
            "id": message.notification_id,
            "type": message.type,
            "category": message.category,
            "title": message.subject,
            "message": message.text,
            "actionUrl": message.action_url,
            "actionLabel": message.action_label,
            "metadata": dict(message.metadata),
            "priority": "critical" if message.critical else "normal",
        },
    }
