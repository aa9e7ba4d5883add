"""``exporter schema``."""

import argparse
import asyncio

from .._common.clock import SystemClock
from ..errors import ConfigurationError
from ..registry import history_from_url
from ..settings import Settings


def schema(arguments: argparse.Namespace) -> int:
    """Create or upgrade the tables of a history, or print them as SQL."""
    settings = None if arguments.url else Settings.discover()
    url = arguments.url or (settings.history.url if settings else None)
    if url is None:
        raise ConfigurationError("name the history with --url, for example sqlite:///history.db")
    history = history_from_url(url, clock=SystemClock())
    if arguments.action == "sql":
        print(history.schema_sql(), end="")
        return 0

    async def upgrade() -> None:
        try:
            await history.setup()
        finally:
            await history.aclose()

    asyncio.run(upgrade())
    return 0
