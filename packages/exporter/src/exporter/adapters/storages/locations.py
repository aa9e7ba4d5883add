"""URLs of buckets: ``scheme://user:password@bucket/prefix?option=value``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from ..._common.urls import query_of, redact
from ...errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Location:
    """What a URL says of a bucket."""

    bucket: str
    prefix: str
    options: Mapping[str, str]
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def client_options(self) -> dict[str, Any]:
        """Return the options of obstore's HTTP client: plain HTTP only where it is asked for."""
        return {"allow_http": self.options.get("endpoint", "").startswith("http://")}


def located(url: str, allowed: frozenset[str], *, example: str) -> Location:
    """Return what ``url`` says.

    Raises:
        ConfigurationError: It names no bucket, a port, or an option that is not ``allowed``.
    """
    options = query_of(url, allowed=allowed)
    parts = urlsplit(url)
    _, _, place = parts.netloc.rpartition("@")
    if not place or ":" in place or parts.fragment:
        raise ConfigurationError(f"no bucket in {redact(url)!r}; write {example}")
    endpoint = options.get("endpoint")
    if endpoint is not None and urlsplit(endpoint).scheme not in {"http", "https"}:
        raise ConfigurationError(f"option 'endpoint' must be an http(s) URL in {redact(url)!r}")
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    return Location(unquote(place), unquote(parts.path).strip("/"), options, user, password)
