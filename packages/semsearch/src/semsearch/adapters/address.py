"""Where a server is, taken from a URL, and whether a key can be sent to it."""

import re
from urllib.parse import SplitResult, urlsplit

from .._common.urls import redact
from ..errors import ConfigurationError

_HOST = re.compile(r"[^\s/?#@\\%\x00-\x1f\x7f]+")


def parts_of(url: str) -> SplitResult:
    """Return the parts of a URL whose host and port can be used.

    Raises:
        ConfigurationError: They cannot.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:  # its sentence may repeat what stands before an @
        raise ConfigurationError(
            f"not a URL: {redact(url)!r}; host and port are wrong: a port is 0 to 65535, "
            "an address of IPv6 stands in brackets"
        ) from None
    if host is not None and not _HOST.fullmatch(host):
        raise ConfigurationError(f"{redact(url)!r} has a host that cannot be one")
    return parts


def base_of(parts: SplitResult, *, tls: bool, port: int | None) -> str:
    """Return the address over HTTP; ``port`` where the URL names none."""
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    number = parts.port or port
    return f"{'https' if tls else 'http'}://{host}{f':{number}' if number else ''}"


def check_key(key: str, where: str) -> None:
    """Refuse what no header of HTTP can hold; it never stands in a message.

    Raises:
        ConfigurationError: It has a line break, a space at an end, or other than ASCII.
    """
    if not key.isascii() or not key.isprintable() or key != key.strip():
        raise ConfigurationError(
            f"the key for {redact(where)!r} cannot be sent: it has a line break, a space at an "
            "end, or a letter that is not ASCII"
        )
