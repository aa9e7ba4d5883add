"""How fast it stores, hands over and shows: ``nox -s bench -- notify``.

Peers in the same run, repetitions in turn. What was stored, taken or heard is checked outside the
measured code. ``--record`` writes tables and plots into the documentation; what was not measured
this time stays there as it was. A server that does not come up ends the run.
"""

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[2]
DOCS: Final = ROOT / "docs" / "notify" / "explanation" / "benchmarks"
GROUPS: Final = {
    "sending": ("send-SQLite", "send-PostgreSQL", "bulk-PostgreSQL"),
    "providers": ("smtp", "smtp-aiosmtpd", "http"),
    "fan-out": ("fan-out-1000", "fan-out-5000"),
    "memory": ("memory-1000", "memory-5000"),
    "storm": ("storm",),
    "never-read": ("beside",),
}
sys.path.insert(0, str(HERE.parent / "tests"))  # its servers are ours too

from harness import providing, storing, storm  # noqa: E402
from harness._common import fanout, slow  # noqa: E402
from harness._common.command import Benchmarks, Wanted, main  # noqa: E402
from harness._common.programs import free_port, program  # noqa: E402
from harness._common.results import Results, machine  # noqa: E402
from harness.bars import judge  # noqa: E402
from harness.contenders import OWN, SERVERS  # noqa: E402

from _common.postgres_server import (  # noqa: E402  found by the line above
    POSTGRES,
    fresh_database,
    run_postgres,
)
from _common.redis_server import REDIS, run_redis  # noqa: E402
from _common.services import locate, locate_program  # noqa: E402


@contextlib.contextmanager
def database() -> Iterator[str]:
    """Give a fresh PostgreSQL database; a server of our own unless the environment names one."""
    if (url := os.environ.get("POSTGRES_URL")) is not None:
        yield url
        return
    with run_postgres(locate(POSTGRES)) as server, fresh_database(server) as found:
        yield found


def providers(results: Results, turns: int) -> None:
    """Measure what hands messages over."""
    smtp, whole, http = free_port(), free_port(), free_port()
    aiosmtpd = ("-m", "aiosmtpd", "-n", "-c", "aiosmtpd.handlers.Sink", "-l", f"127.0.0.1:{whole}")
    with (
        program(str(HERE / "smtp_sink.py"), str(smtp), port=smtp),
        program(*aiosmtpd, port=whole),
        program(str(HERE / "http_sink.py"), str(http), port=http),
    ):
        for _ in range(turns):
            asyncio.run(providing.smtp(smtp, results, counts=True))
            asyncio.run(providing.smtp(whole, results, counts=False))
            asyncio.run(providing.http(http, results))


def sending(results: Results, turns: int) -> None:
    """Measure what stores."""
    with database() as url:
        for _ in range(turns):
            asyncio.run(storing.sqlite(results))
            asyncio.run(storing.postgres(url, results))


async def prepared(url: str) -> None:
    """Make the tables of a server."""
    from notify import NotificationService

    async with NotificationService.from_url(url) as service:
        await service.setup()


def storms(results: Results, turns: int, *, quick: bool) -> None:
    """Measure what comes back all at once, on the embedded store and on a server."""
    clients, missed = (50, 20) if quick else (storm.CLIENTS, storm.MISSED)
    with tempfile.TemporaryDirectory() as folder, database() as url:
        asyncio.run(prepared(url))
        urls = {"SQLite": f"sqlite:///{folder}/n.db?synchronous=NORMAL", "PostgreSQL": url}
        asyncio.run(storm.run(results, urls, turns, clients, missed))


def fan_outs(results: Results, wanted: Wanted) -> None:
    """Measure what tells many sockets at once."""
    with run_redis(locate_program(REDIS)) as redis:
        environment = {"BENCH_REDIS": redis.url}
        for size in wanted.sizes:
            count, turns = 100 if wanted.quick else size, min(wanted.turns, 3)
            servers = SERVERS.values()
            asyncio.run(fanout.run(results, servers, "message", count, turns, environment))


def measure(wanted: Wanted) -> Results:
    """Measure what is wanted."""
    results = Results(about=machine())
    if "sending" in wanted.only:
        sending(results, wanted.turns)
    if "providers" in wanted.only:
        providers(results, wanted.turns)
    if "fan-out" in wanted.only:
        fan_outs(results, wanted)
    if "storm" in wanted.only:
        storms(results, min(wanted.turns, 3), quick=wanted.quick)
    if "never-read" in wanted.only:
        asyncio.run(slow.run(results, OWN, "message", 200 if wanted.quick else slow.SOCKETS))
    return results


if __name__ == "__main__":
    names = ("sending", "providers", "fan-out", "storm", "never-read")
    sys.exit(main(Benchmarks(__doc__, names, DOCS, GROUPS, measure, judge)))
