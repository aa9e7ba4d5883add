"""URLs that name adapters: ``scheme://user:password@host/path?option=value``."""

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from ..errors import ConfigurationError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_SECRET = re.compile(r"(?i)pass|secret|token|key|credential|signature")


def scheme_of(url: str) -> str:
    """Return the lower-case scheme of ``url``.

    Raises:
        ConfigurationError: ``url`` has no scheme, or holds control characters or surrogates.
    """
    if not url.isprintable():
        raise ConfigurationError(f"not a URL: {redact(url)!r} holds what cannot be printed")
    found = _SCHEME.match(url)
    if found is None:
        raise ConfigurationError(f"not a URL: {redact(url)!r}; expected scheme://…")
    return found[1].lower()


def query_of(url: str, *, allowed: frozenset[str] | None = None) -> dict[str, str]:
    """Return the query of ``url`` as a mapping.

    Raises:
        ConfigurationError: A key is given twice or is not in ``allowed``.
    """
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) != len(pairs):
        raise ConfigurationError(f"an option is given twice in {redact(url)!r}")
    if allowed is not None and (unknown := sorted(options.keys() - allowed)):
        known = ", ".join(sorted(allowed)) or "none"
        raise ConfigurationError(
            f"unknown option {unknown[0]!r} in {redact(url)!r}; known: {known}"
        )
    return options


def without_query(url: str, *names: str) -> str:
    """Return ``url`` without the options ``names`` (all of them if none is named)."""
    base, _, query = url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    kept = [(key, value) for key, value in pairs if names and key not in names]
    # not urlunsplit: it would drop a slash of sqlite:////absolute
    return f"{base}?{urlencode(kept)}" if kept else base


def file_path(url: str) -> str:
    """Return the path in ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

    Raises:
        ConfigurationError: The URL names a host, or no path.
    """
    parts = urlsplit(url)
    path = parts.path.removeprefix("/")
    if parts.netloc or not path:
        raise ConfigurationError(
            f"no file in {redact(url)!r}; write {parts.scheme}:///relative or {parts.scheme}:////absolute"
        )
    return path


def flag(options: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Return the option ``name`` as a bool: on/off, true/false, yes/no, 1/0.

    Raises:
        ConfigurationError: The value is none of these.
    """
    text = options.get(name, "on" if default else "off").lower()
    if text in {"on", "true", "yes", "1"}:
        return True
    if text in {"off", "false", "no", "0"}:
        return False
    raise ConfigurationError(f"option {name!r} must be on or off, not {text!r}")


def redact(url: str) -> str:
    """Return ``url`` without its password and secret options, for messages and logs."""
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return "<unreadable URL>"
    base = url.partition("?")[0]
    user, at, _ = parts.netloc.rpartition("@")
    if not at and _cut_short(parts):
        return f"{parts.scheme}://***"
    if at and ":" in user:
        base = base.replace(f"{user}@", f"{user.partition(':')[0]}:***@", 1)
    query = "&".join(f"{k}=***" if _SECRET.search(k) else f"{k}={v}" for k, v in pairs)
    return f"{base}?{query}" if query else base


def _cut_short(parts: SplitResult) -> bool:
    """Whether a password may hold what ends a host, as in ``redis://:pa/ss@host``."""
    beyond = "@" in parts.path or "@" in parts.fragment
    odd = "@" in parts.query and not re.fullmatch(r"[^:]+(:\d+)?", parts.netloc)
    return bool(parts.netloc) and (beyond or odd)
