"""Tables of our own in a SQLite file that may belong to an application."""

import sqlite3

from ..errors import ConfigurationError
from .sqlite_session import end_transaction


def prepare_tables(
    link: sqlite3.Connection, name: str, version: int, script: str, *, create: bool = True
) -> bool:
    """Run ``script`` unless the tables are there already; return whether they are there now.

    Version and oldest version of the code that may use them stand in a table ``<name>_schema``:
    ``PRAGMA user_version`` is the application's.

    Args:
        link: An autocommitting connection.
        name: Prefix of the tables.
        version: The version that this release writes.
        script: What creates the tables.
        create: Whether they may be created.

    Raises:
        ConfigurationError: A newer release made them, and says that this one cannot use them.
    """
    table = f"{name}_schema"
    if link.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is None:
        if create:
            _create(link, table, version, script)
        return create
    stored, oldest = link.execute(f"SELECT version, oldest FROM {table}").fetchone()  # noqa: S608  our own name
    if oldest > version:
        raise ConfigurationError(
            f"the tables of {name!r} have format {stored}, this release reads {version}: upgrade "
            "it, or name another file"
        )
    return True


def _create(link: sqlite3.Connection, table: str, version: int, script: str) -> None:
    link.execute("BEGIN IMMEDIATE")
    try:
        # again, now alone: another process may have been faster
        link.execute(
            f"CREATE TABLE IF NOT EXISTS {table} "
            "(one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, "
            "oldest INTEGER NOT NULL)"
        )
        for statement in script.split(";"):
            link.execute(statement)
        row = (version, version)
        link.execute(f"INSERT INTO {table} VALUES (1, ?, ?) ON CONFLICT DO NOTHING", row)  # noqa: S608  our own name
        link.execute("COMMIT")
    except BaseException:
        end_transaction(link, commit=False)
        raise
