"""Real processes, quickly: a server that has imported everything forks them."""

import multiprocessing
from multiprocessing.context import ForkServerContext

import pytest


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Return where processes are started. Each is one of its own, with its own loop and files."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(
        ["chaos.delivering", "chaos.cutting", "notify.adapters.sql", "sqlalchemy.dialects.sqlite"]
    )
    return made
