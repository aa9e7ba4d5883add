"""Where the operations are: a store, or a web application."""

import argparse

from ..errors import ConfigurationError
from ..service import ProgressTracker
from ..settings import Settings
from ..web_client import WebClient


def tracker(url: str | None) -> ProgressTracker:
    """Return a tracker on the store that is named.

    Raises:
        ConfigurationError: None is, or one in the memory of another process.
    """
    found = Settings.from_url(url) if url else Settings.discover()
    if found is None:
        raise ConfigurationError(
            "give --url, or set PROGRESS_TRACKER_URL or PROGRESS_TRACKER_CONFIG"
        )
    if found.storage.url() == "memory://":
        raise ConfigurationError("memory:// is of one process; name a store that processes share")
    return ProgressTracker(found)


def remote(arguments: argparse.Namespace) -> WebClient | None:
    """Return the web application to ask, if one is named by ``--url`` or the settings.

    Raises:
        ConfigurationError: ``--header`` is wrong, or has no use.
    """
    url: str | None = arguments.url
    if url is None:
        found = Settings.discover()
        socket = None if found is None else found.realtime.websocket_url
        if socket is not None and found is not None and found.storage.url() == "memory://":
            # memory of another process cannot be read; its web application can be asked
            url = web_url(socket)
    if url is None or not url.startswith(("http://", "https://")):
        if arguments.header:
            raise ConfigurationError("--header goes with the http:// URL of a web application")
        return None
    headers: dict[str, str] = {}
    for each in arguments.header:
        name, colon, value = each.partition(":")
        if not colon:
            raise ConfigurationError("--header takes 'Name: value'")
        headers[name.strip()] = value.strip()
    return WebClient(url, headers)


def web_url(socket: str) -> str:
    """Return the address of the web application whose sockets are at ``socket``."""
    base = socket.rstrip("/").removesuffix("/ws/progress")
    return base.replace("ws", "http", 1) if base.startswith("ws") else base
