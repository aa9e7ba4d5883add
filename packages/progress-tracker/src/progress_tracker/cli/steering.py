"""``cancel`` and ``schema``."""

import argparse
import asyncio

from ..errors import UnsupportedOperationError
from .targets import remote, tracker


async def cancel(arguments: argparse.Namespace) -> int:
    """Ask workers to stop."""
    web = remote(arguments)
    if web is not None:
        for id in arguments.id:
            await asyncio.to_thread(web.cancel, id)
    else:
        async with tracker(arguments.url) as ours:
            for id in arguments.id:
                await ours.request_cancel(id)
    print("asked to stop: " + ", ".join(arguments.id))
    return 0


async def schema(arguments: argparse.Namespace) -> int:
    """Create or upgrade the tables, or print them."""
    async with tracker(arguments.url) as ours:
        if arguments.action == "upgrade":
            await ours.setup()
            print("the tables are up to date")
            return 0
        script = ours.schema_sql()
        if not script:
            raise UnsupportedOperationError("this store has no schema")
        print(script, end="")
        return 0
