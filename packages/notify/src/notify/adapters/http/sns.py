"""Text messages by Amazon SNS."""

import re
from typing import Any
from urllib.parse import urlencode

from ...ports import Message
from .aws import AWSChannel
from .base import Reply
from .cutting import cut_to_bytes

_LONGEST = 1600
_ID = re.compile(rb"<MessageId>([^<]{1,100})</MessageId>")
_ERROR = re.compile(rb"<Code>([^<]{1,60})</Code>")
_PASSING = frozenset({"Throttling", "ThrottledException", "ThrottlingException", "KMSThrottling"})


class SNSChannel(AWSChannel):
    """Sends text messages to numbers (E.164) through Amazon SNS."""

    service = "sns"
    required = ("region",)

    def __init__(
        self, *, region: str, sender_id: str | None = None, name: str = "sms", **base: Any
    ) -> None:
        """Send from ``region``.

        Args:
            region: ``eu-central-1``.
            sender_id: The alphanumeric sender, where the country allows it.
            name: The notification channel that it serves.
            base: Keys as of :class:`AWSChannel`, ``base_url``, ``timeout`` and ``clock``.

        Raises:
            ConfigurationError: One half of the keys is missing.
        """
        super().__init__(name, "sns", region=region, **base)
        self._sender = sender_id

    async def send(self, message: Message) -> str | None:
        attributes = {"AWS.SNS.SMS.SMSType": "Transactional" if message.critical else "Promotional"}
        if self._sender is not None:
            attributes["AWS.SNS.SMS.SenderID"] = self._sender
        fields = {
            "Action": "Publish",
            "Version": "2010-03-31",
            "PhoneNumber": message.recipient.address,
            "Message": cut_to_bytes(message.text or message.subject, _LONGEST),
        }
        for place, (key, value) in enumerate(attributes.items(), 1):
            at = f"MessageAttributes.entry.{place}"
            fields |= {
                f"{at}.Name": key, f"{at}.Value.DataType": "String",
                f"{at}.Value.StringValue": value,
            }  # fmt: skip
        content = urlencode(fields).encode()
        reply = await self._signed("/", content, "application/x-www-form-urlencoded; charset=utf-8")
        found = _ID.search(reply.content)
        return None if found is None else found[1].decode()

    def code_of(self, reply: Reply) -> str:
        found = _ERROR.search(reply.content)
        return "" if found is None else found[1].decode(errors="replace")

    def names_recipient(self, reply: Reply, code: str) -> bool:
        said = b"PhoneNumber" in reply.content or b"phone number" in reply.content.lower()
        return code in {"OptedOut", "OptedOutException"} or (code == "InvalidParameter" and said)

    def passes(self, reply: Reply, code: str) -> bool:
        return code in _PASSING
