"""Amazon's signature on HTTP requests, by botocore's signer and credential chain."""

import asyncio
from typing import Any

from ..._common.extras import require
from ...errors import ChannelError, ConfigurationError
from .base import HTTPChannel, Reply, needed


class AWSChannel(HTTPChannel):
    """A provider whose requests are signed by Signature Version 4."""

    service: str = ""

    def __init__(
        self,
        name: str,
        provider: str,
        *,
        region: str,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        session_token: str | None = None,
        base_url: str | None = None,
        **base: Any,
    ) -> None:
        """Sign for ``region``.

        Args:
            name: The notification channel that it serves.
            provider: What it is called in deliveries.
            region: ``eu-central-1``.
            access_key_id: With ``secret_access_key``; without both the usual chain of AWS is asked
                (environment, profile, role of the machine).
            secret_access_key: See above.
            session_token: Of temporary keys.
            base_url: In place of the region's endpoint.
            base: ``timeout`` and ``clock`` as of every HTTP provider.

        Raises:
            ConfigurationError: One half of the keys is missing.
        """
        needed(provider, region=region)
        url = base_url or f"https://{self.host(region)}"
        super().__init__(name, provider, base_url=url, **base)
        if (access_key_id is None) is not (secret_access_key is None):
            raise ConfigurationError(f"{provider}: access_key_id and secret_access_key go together")
        self._region = region
        self._keys = access_key_id, secret_access_key, session_token
        self._credentials: Any = None

    @classmethod
    def host(cls, region: str) -> str:
        """Return the host of the service in ``region``."""
        return f"{cls.service}.{region}.amazonaws.com"

    async def _signed(self, path: str, content: bytes, kind: str) -> Reply:
        request = await asyncio.to_thread(self._sign, f"{self.base_url}{path}", content, kind)
        return await self._taken(path, content=content, headers=request)

    def _sign(self, url: str, content: bytes, kind: str) -> dict[str, str]:
        auth = require("botocore.auth", dist="notify", extra="aws")
        requests = require("botocore.awsrequest", dist="notify", extra="aws")
        made = requests.AWSRequest(
            method="POST", url=url, data=content, headers={"Content-Type": kind}
        )
        auth.SigV4Auth(self._known(), self.service, self._region).add_auth(made)
        return dict(made.headers.items())

    def _known(self) -> Any:
        if self._credentials is None:
            key, secret, token = self._keys
            if key is not None:
                made = require("botocore.credentials", dist="notify", extra="aws")
                self._credentials = made.Credentials(key, secret, token)
            else:
                session = require("botocore.session", dist="notify", extra="aws")
                self._credentials = session.get_session().get_credentials()
        if self._credentials is None:
            raise ChannelError(f"{self.provider}: no AWS credentials found", retryable=True)
        # those of roles are renewed by what this returns
        return self._credentials.get_frozen_credentials()
