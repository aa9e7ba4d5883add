"""E-mail by Amazon SES, API version 2."""

import base64
from typing import Any

import msgspec

from ...ports import Capabilities, Message
from ..mail import build_mail, sender_of
from ..mail_headers import POLICY
from .aws import AWSChannel
from .base import Reply

# the API takes 7-bit mail, and names beyond ASCII only as the mail's own header has them
_POLICY = POLICY.clone(cte_type="7bit")
_PASSING = frozenset(
    {"TooManyRequestsException", "LimitExceededException", "SendingPausedException"}
)


class SESChannel(AWSChannel):
    """Sends e-mail through Amazon SES, as a whole message in MIME: attachments and all headers."""

    capabilities = Capabilities(attachments=True)
    service = "ses"
    required = ("from_address", "region")

    def __init__(
        self,
        *,
        from_address: str,
        region: str,
        configuration_set: str | None = None,
        name: str = "email",
        **base: Any,
    ) -> None:
        """Send from a verified identity.

        Args:
            from_address: The sender, ``Name <noreply@example.com>``.
            region: ``eu-central-1``.
            configuration_set: The one whose event destination reports to SNS.
            name: The notification channel that it serves.
            base: Keys as of :class:`AWSChannel`, ``base_url``, ``timeout`` and ``clock``.

        Raises:
            ConfigurationError: The sender is no address, or one half of the keys is missing.
        """
        super().__init__(name, "ses", region=region, **base)
        self._sender, self._set = sender_of(from_address), configuration_set

    @classmethod
    def host(cls, region: str) -> str:
        return f"email.{region}.amazonaws.com"

    async def send(self, message: Message) -> str | None:
        mail = build_mail(message, self._sender).as_bytes(policy=_POLICY)
        body: dict[str, Any] = {
            "FromEmailAddress": self._sender.addr_spec,
            "Destination": {"ToAddresses": [message.recipient.address]},
            "Content": {"Raw": {"Data": base64.b64encode(mail).decode()}},
            "EmailTags": [{"Name": "delivery", "Value": message.key}],
        }
        if self._set is not None:
            body["ConfigurationSetName"] = self._set
        path = "/v2/email/outbound-emails"
        reply = await self._signed(path, msgspec.json.encode(body), "application/json")
        return str(reply.json().get("MessageId") or "") or None

    def code_of(self, reply: Reply) -> str:
        named = reply.headers.get("x-amzn-errortype", "") or str(reply.json().get("__type", ""))
        return named.partition(":")[0].rpartition("#")[2]

    def names_recipient(self, reply: Reply, code: str) -> bool:
        said = str(reply.json().get("message", ""))
        return code == "BadRequestException" and "Illegal address" in said

    def passes(self, reply: Reply, code: str) -> bool:
        return code in _PASSING
