"""E-mail by SendGrid's Mail Send API, version 3."""

import base64
from typing import Any

from ...ports import Capabilities, Message
from ..mail import checked, list_headers, message_id, sender_of
from .base import HTTPChannel, Reply, needed


class SendGridChannel(HTTPChannel):
    """Sends e-mail through SendGrid."""

    capabilities = Capabilities(attachments=True)
    base = "https://api.sendgrid.com"
    required = ("api_key", "from_address")

    def __init__(
        self,
        api_key: str,
        *,
        from_address: str,
        sandbox: bool = False,
        ip_pool: str | None = None,
        name: str = "email",
        **base: Any,
    ) -> None:
        """Send with ``api_key``.

        Args:
            api_key: Of the account, with the right ``mail.send``.
            from_address: A verified sender, ``Name <noreply@example.com>``.
            sandbox: Whether messages are checked and not sent.
            ip_pool: The account's pool of addresses to send from.
            name: The notification channel that it serves.
            base: ``base_url``, ``timeout`` and ``clock`` as of every HTTP provider.

        Raises:
            ConfigurationError: The sender is no address.
        """
        super().__init__(name, "sendgrid", **base)
        needed("sendgrid", api_key=api_key)
        self._sender = sender_of(from_address)
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._sandbox, self._ip_pool = sandbox, ip_pool

    async def send(self, message: Message) -> str | None:
        checked(message)
        reply = await self._taken("/v3/mail/send", json=self._body(message), headers=self._headers)
        return reply.headers.get("x-message-id")

    def _body(self, message: Message) -> dict[str, Any]:
        content = [{"type": "text/plain", "value": message.text or " "}]
        if message.html is not None:
            content.append({"type": "text/html", "value": message.html})
        body: dict[str, Any] = {
            "personalizations": [
                {
                    "to": [_address(message.recipient.address, message.recipient.name)],
                    # comes back in events, whose ids are SendGrid's own
                    "custom_args": {"delivery_id": message.key},
                }
            ],
            "from": _address(self._sender.addr_spec, self._sender.display_name),
            "subject": message.subject,
            "content": content,
            # SendGrid takes no key: by the same id mailboxes know an attempt repeated
            "headers": {
                "Message-ID": message_id(message, self._sender),
                "Auto-Submitted": "auto-generated",
                **({"Importance": "high"} if message.critical else {}),
                **list_headers(message),
            },
        }
        if message.category is not None:
            body["categories"] = [message.category]
        if message.attachments:
            body["attachments"] = [
                {
                    "content": base64.b64encode(each.content).decode(),
                    "filename": each.filename,
                    "type": each.content_type,
                    "disposition": "attachment",
                }
                for each in message.attachments
            ]
        if self._sandbox:
            body["mail_settings"] = {"sandbox_mode": {"enable": True}}
        if self._ip_pool is not None:
            body["ip_pool_name"] = self._ip_pool
        return body

    def code_of(self, reply: Reply) -> str:
        errors = reply.json().get("errors")
        first = errors[0] if isinstance(errors, list) and errors else None
        return str(first.get("field") or "") if isinstance(first, dict) else ""

    def names_recipient(self, reply: Reply, code: str) -> bool:
        return reply.status == 400 and code.startswith("personalizations.0.to")


def _address(address: str, name: str | None) -> dict[str, str]:
    return {"email": address, "name": name} if name else {"email": address}
