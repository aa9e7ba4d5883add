"""One statement to a PostgreSQL server, by whichever client library is installed."""

import asyncio
import importlib
import shlex
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from .services import Unavailable


def execute(url: str, statement: str) -> str:
    """Run one statement outside a transaction; return its first value as text.

    Raises:
        Unavailable: Neither asyncpg nor psycopg is installed.
    """
    for name, call in (("asyncpg", _with_asyncpg), ("psycopg", _with_psycopg)):
        try:
            library = importlib.import_module(name)
        except ImportError:
            continue
        with ThreadPoolExecutor(1) as pool:  # an event loop may be running in this thread
            return str(pool.submit(call, library, url, statement).result())
    raise Unavailable("a fresh database needs a client: pip install asyncpg or psycopg")


def plain_url(url: str, *, database: str | None = None) -> str:
    """Return a SQLAlchemy or libpq address as ``postgresql://``, perhaps to another database."""
    if "://" not in url:
        url = _url_of_words(dict(word.split("=", 1) for word in shlex.split(url)))
    parts = urlsplit(url)
    path = parts.path if database is None else f"/{database}"
    return parts._replace(scheme="postgresql", path=path).geturl()


def _url_of_words(words: dict[str, str]) -> str:
    """Turn ``host=localhost user=me`` into a URL; libpq reads each word from its query too."""
    database = words.pop("dbname", "")
    host, port = words.pop("host", "127.0.0.1"), words.pop("port", "5432")
    user = quote(words.pop("user", "postgres"), safe="")
    password = quote(words.pop("password", ""), safe="")
    login = f"{user}:{password}" if password else user
    query = f"?{urlencode(words)}" if words else ""
    return f"postgresql://{login}@{host}:{port}/{database}{query}"


def _with_asyncpg(asyncpg: Any, url: str, statement: str) -> Any:
    async def call() -> Any:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(call())


def _with_psycopg(psycopg: Any, url: str, statement: str) -> Any:
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None
