"""A PostgreSQL with pgvector: the one that is named, else one that is started for this run."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))


@contextlib.contextmanager
def database(url: str | None) -> Iterator[str | None]:
    """Give the URL of a database, None where there is no PostgreSQL."""
    if url is not None:
        yield url
        return
    from _common.postgres_server import POSTGRES, fresh_database, run_postgres
    from _common.services import Unavailable, locate_program

    try:
        program = locate_program(POSTGRES)
    except Unavailable:
        yield None
        return
    with run_postgres(program, "shared_buffers=512MB") as server, fresh_database(server) as made:
        yield made
