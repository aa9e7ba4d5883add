"""Text messages by Twilio's Programmable Messaging API."""

from typing import Any

from ...errors import ChannelError, ConfigurationError
from ...ports import Message
from .base import HTTPChannel, Reply, needed
from .cutting import shortened

_LONGEST = 1600
# not a number, not reachable, cannot receive, has said STOP, a landline: the error dictionary
_BAD = frozenset({"21211", "21214", "21217", "21265", "21407", "21421", "21610", "21614"})
# unknown number, landline: of messages that were made and did not go out
_UNREACHED = frozenset({"30005", "30006"})
_FAILED = frozenset({"failed", "undelivered", "canceled"})
# queue overflow, too many requests
_PASSING = frozenset({"14107", "20429", "21611", "63038"})


class TwilioChannel(HTTPChannel):
    """Sends text messages through Twilio."""

    base = "https://api.twilio.com"
    required = ("account_sid", "api_key")

    def __init__(
        self,
        account_sid: str,
        api_key: str,
        *,
        from_number: str | None = None,
        messaging_service_sid: str | None = None,
        key_sid: str | None = None,
        status_callback: str | None = None,
        name: str = "sms",
        **base: Any,
    ) -> None:
        """Send from a number, or through a messaging service.

        Args:
            account_sid: ``AC…``.
            api_key: The account's auth token, or the secret of ``key_sid``.
            from_number: The sender, ``+15005550006`` or an alphanumeric name.
            messaging_service_sid: ``MG…``, in place of ``from_number``.
            key_sid: ``SK…``, where an API key is used in place of the auth token.
            status_callback: Where Twilio reports: the app's ``/events/twilio``.
            name: The notification channel that it serves.
            base: ``base_url``, ``timeout`` and ``clock`` as of every HTTP provider.

        Raises:
            ConfigurationError: Neither or both senders are given.
        """
        super().__init__(name, "twilio", **base)
        needed("twilio", account_sid=account_sid, api_key=api_key)
        if (from_number is None) is (messaging_service_sid is None):
            raise ConfigurationError("twilio: give one of from_number and messaging_service_sid")
        self._auth = (key_sid or account_sid, api_key)
        self._path = f"/2010-04-01/Accounts/{account_sid}/Messages.json"
        fields = {
            "From": from_number,
            "MessagingServiceSid": messaging_service_sid,
            "StatusCallback": status_callback,
        }
        self._fields = {key: value for key, value in fields.items() if value is not None}

    async def send(self, message: Message) -> str | None:
        text = shortened(message.text or message.subject, _LONGEST)
        fields = {**self._fields, "To": message.recipient.address, "Body": text}
        reply = await self._taken(self._path, data=fields, auth=self._auth)
        made = reply.json()
        if made.get("status") in _FAILED:
            # 201 says that there is a message, not that it goes out
            code = str(made.get("error_code") or "")
            shown = f" {code}" if code.isdecimal() else ""
            text = f"twilio {reply.status} {made['status']}{shown}"
            raise ChannelError(
                text, retryable=code in _PASSING, invalid_recipient=code in _BAD | _UNREACHED
            )
        return str(made.get("sid") or "") or None

    def code_of(self, reply: Reply) -> str:
        return str(reply.json().get("code") or "")

    def names_recipient(self, reply: Reply, code: str) -> bool:
        return code in _BAD

    def passes(self, reply: Reply, code: str) -> bool:
        return code in _PASSING
