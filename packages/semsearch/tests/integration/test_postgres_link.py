"""Connections that the server has ended, before the driver knows that they are gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest

from semsearch import BackendError
from semsearch.adapters.postgres_link import PostgresLink

asyncpg = pytest.importorskip("asyncpg")
pytestmark = [pytest.mark.integration, pytest.mark.slow]


@asynccontextmanager
async def keeping_open(port: int) -> AsyncIterator[tuple[int, asyncio.Queue[None]]]:
    """Forward to ``port``, but keep from clients that it has hung up; the queue tells of it."""
    ended: asyncio.Queue[None] = asyncio.Queue()

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        up = asyncio.create_task(carry(reader, back))
        with suppress(OSError):
            await carry(there, writer)
        ended.put_nowait(None)
        with suppress(OSError):
            await up
        for each in (writer, back):
            each.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], ended
    server.close()


async def test_an_ended_connection_is_a_fault_that_may_pass(postgres_url: str) -> None:
    parts = urlsplit(postgres_url)
    admin = await asyncpg.connect(postgres_url)
    async with keeping_open(parts.port or 5432) as (port, ended):
        here = parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{port}"))
        link = PostgresLink(here.geturl(), own=frozenset(), limit=1)
        async with link.connection() as lent:
            assert await lent.fetchval("SELECT 1") == 1
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'semsearch' AND datname = current_database()"
        )
        async with asyncio.timeout(60):
            await ended.get()
        with pytest.raises(BackendError, match="InternalClientError") as caught:
            async with link.connection() as lent:
                await lent.fetchval("SELECT 1")
        assert caught.value.retryable
        async with link.connection() as lent:
            assert await lent.fetchval("SELECT 1") == 1
        await link.aclose()
    await admin.close()
