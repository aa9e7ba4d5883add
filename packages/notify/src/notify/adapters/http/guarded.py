"""Requests to addresses that users or customers name: never into the own network.

The host is resolved once, every address of it is judged, and the connection goes to the address
that was judged: a name that changes its answer in between changes nothing.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ...errors import ChannelError
from .base import HTTPChannel, Reply

_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052, section 2.1


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open internet."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if (inner := _inside(found)) is not None:
            return inner.is_global and not inner.is_multicast
        if found.is_reserved or found.is_site_local:
            return False
    return found.is_global and not found.is_multicast


def _inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the address of IPv4 that a gateway makes of one of IPv6."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


class GuardedChannel(HTTPChannel):
    """A provider whose requests go where the recipient's address says."""

    takes_by_page = True

    def __init__(
        self, name: str, provider: str, *, allow_private: bool = False, **base: Any
    ) -> None:
        """Allow what is not of the open internet, and plain http, only if ``allow_private``."""
        super().__init__(name, provider, base_url="https://unused.invalid", **base)
        self._allow_private = allow_private

    async def _deliver(self, url: str, content: bytes, headers: Mapping[str, str]) -> Reply:
        """Post to ``url``; the provider's answer is read as that of every HTTP provider.

        Raises:
            ChannelError: The address is none of the open internet, or it was not taken.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = urlsplit(""), None, None
        if host is None or parts.scheme not in _PORTS or parts.username is not None:
            raise ChannelError(f"{self.provider}: not an address", invalid_recipient=True)
        if self._allow_private:
            return await self._taken(url, content=content, headers=dict(headers))
        if parts.scheme != "https":
            raise ChannelError(f"{self.provider}: not https", invalid_recipient=True)
        found = await self._resolved(host, port or _PORTS[parts.scheme])
        shown = f"[{found}]" if ":" in found else found
        place = shown if port is None else f"{shown}:{port}"
        sent = urlunsplit((parts.scheme, place, parts.path or "/", parts.query, ""))
        named = parts.netloc.rpartition("@")[2]
        return await self._taken(
            sent,
            name=named.lower(),
            content=content,
            headers={**headers, "Host": named},
            extensions={"sni_hostname": host},  # the certificate is checked against the name
        )

    async def _resolved(self, host: str, port: int) -> str:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout):
                rows = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, TimeoutError):
            raise ChannelError(f"{self.provider}: the host is not found", retryable=True) from None
        addresses = [str(row[4][0]) for row in rows]
        if not addresses or not all(map(is_public, addresses)):
            text = f"{self.provider}: the host is not of the open internet"
            raise ChannelError(text, invalid_recipient=True)
        return addresses[0]
