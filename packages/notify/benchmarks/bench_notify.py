"""Sending, bulk, SMTP, HTTP against raw drivers: ``bench_notify.py [--rounds 5] [--record]``.

Rounds are interleaved; what was stored or taken is counted outside. ``--record`` writes the tables
into the documentation.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

import providing
import storing
from measure import Table, free_port, program, record, show

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
HERE = Path(__file__).parent


async def rounds(count: int, url: str | None) -> list[Table]:
    lite = Table("sqlite", "send, SQLite", "half the speed of the same statements on the driver")
    big = Table("postgres", "send, PostgreSQL", "half the speed of the same statements")
    bulk = Table("bulk", "send_bulk of 10,000, PostgreSQL", "half the speed of executemany")
    mail = Table("smtp", "SMTP to a local sink", "1,400 a second on a pool of 4")
    post = Table("http", "one HTTP provider, one message after another", "0.8 of a bare client")
    smtp_port, http_port = free_port(), free_port()
    sink = ("-m", "aiosmtpd", "-n", "-c", "aiosmtpd.handlers.Sink", "-l", f"127.0.0.1:{smtp_port}")
    with (
        program(*sink, port=smtp_port),
        program(str(HERE / "http_sink.py"), str(http_port), port=http_port),
    ):
        for _ in range(count):
            await storing.sqlite(lite)
            if url is not None:
                await storing.postgres(url, big, bulk)
            await providing.smtp(smtp_port, mail)
            await providing.http(http_port, post)
    return [each for each in (lite, big, bulk, mail, post) if each.rows]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--record", action="store_true")
    chosen = parser.parse_args()
    url = os.environ.get("POSTGRES_URL")
    if url is not None:
        tables = asyncio.run(rounds(chosen.rounds, url))
    else:
        from _common.postgres_server import POSTGRES, fresh_database, run_postgres
        from _common.services import locate

        with (
            tempfile.TemporaryDirectory(),
            run_postgres(locate(POSTGRES)) as server,
            fresh_database(server) as found,
        ):
            tables = asyncio.run(rounds(chosen.rounds, found))
    show(tables)
    if chosen.record:
        record(tables, chosen.rounds)


if __name__ == "__main__":
    main()
