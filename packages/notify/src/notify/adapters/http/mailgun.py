"""E-mail by Mailgun's Messages API, version 3."""

import re
from typing import Any

from ...errors import ConfigurationError
from ...ports import Capabilities, Message
from ..mail import checked, list_headers, message_id, sender_of
from .base import HTTPChannel, Reply, needed

# in the words of the API, with the quotes of one version or without those of another
_NO_ADDRESS = re.compile(r"\bto\W? parameter is not a valid address")
_DOMAIN = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")


class MailgunChannel(HTTPChannel):
    """Sends e-mail through Mailgun."""

    capabilities = Capabilities(attachments=True)
    base = "https://api.mailgun.net"
    required = ("api_key", "from_address", "domain")

    def __init__(
        self,
        api_key: str,
        *,
        domain: str,
        from_address: str,
        require_tls: bool = False,
        test_mode: bool = False,
        name: str = "email",
        **base: Any,
    ) -> None:
        """Send with ``api_key`` from ``domain``.

        Args:
            api_key: Of the account or the domain.
            domain: The domain that is set up at Mailgun.
            from_address: The sender, ``Name <noreply@example.com>``.
            require_tls: Whether mail that would travel without TLS is not sent.
            test_mode: Whether messages are taken and not sent.
            name: The notification channel that it serves.
            base: ``base_url`` (``https://api.eu.mailgun.net`` in Europe), ``timeout``, ``clock``.

        Raises:
            ConfigurationError: The sender is no address, or ``domain`` no domain.
        """
        super().__init__(name, "mailgun", **base)
        needed("mailgun", api_key=api_key, domain=domain)
        if not _DOMAIN.fullmatch(domain):
            raise ConfigurationError(f"mailgun: domain is like mg.example.com, not {domain!r}")
        self._sender = sender_of(from_address)
        self._auth = ("api", api_key)
        self._path = f"/v3/{domain}/messages"
        self._options = {
            "o:require-tls": "yes" if require_tls else None,
            "o:testmode": "yes" if test_mode else None,
        }

    async def send(self, message: Message) -> str | None:
        to = checked(message)
        fields = {
            "from": str(self._sender),
            "to": str(to),
            "subject": message.subject,
            "text": message.text or " ",
            "html": message.html,
            # a tag beyond ASCII would have the whole message refused
            "o:tag": message.category if (message.category or "").isascii() else None,
            "v:delivery_id": message.key,
            "h:Message-Id": message_id(message, self._sender),
            "h:Auto-Submitted": "auto-generated",
            "h:Importance": "high" if message.critical else None,
            **{f"h:{name}": value for name, value in list_headers(message).items()},
            **self._options,
        }
        # multipart/form-data always, as the API is published: fields are files without a name
        parts: list[tuple[str, tuple[str | None, str | bytes, str | None]]] = [
            (key, (None, value, None)) for key, value in fields.items() if value is not None
        ]
        parts += [
            ("attachment", (each.filename, each.content, each.content_type))
            for each in message.attachments
        ]
        reply = await self._taken(self._path, files=parts, auth=self._auth)
        return str(reply.json().get("id") or "").strip("<>") or None

    def passes(self, reply: Reply, code: str) -> bool:
        return reply.status == 404  # no such domain, or of the other region: the operator's to mend

    def names_recipient(self, reply: Reply, code: str) -> bool:
        # the words of the API, which has no codes
        said = str(reply.json().get("message", ""))
        return reply.status == 400 and _NO_ADDRESS.search(said) is not None
