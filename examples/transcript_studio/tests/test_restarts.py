"""What the page does while the servers behind the studio are restarted and killed.

States and counts are asserted, never durations.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pages import ended_once, sound
from studio_process import Studio, api, running, until

from _common.browser import chromium
from _common.postgres_server import POSTGRES, fresh_database, run_postgres
from _common.rabbitmq_server import RABBITMQ, locate_rabbitmq, run_rabbitmq
from _common.redis_server import REDIS, run_redis
from _common.server import Server
from _common.services import demanded, locate_program
from transcript_studio.profile import Profile

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
Servers = Mapping[str, Server]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Give servers of this module's own, which keep what they have acknowledged."""
    kept = ("--appendonly", "yes", "--appendfsync", "always")
    with ExitStack() as stack:
        started = {}
        with demanded(REDIS):
            started["redis"] = stack.enter_context(run_redis(locate_program(REDIS), *kept))
        with demanded(POSTGRES):
            started["postgres"] = stack.enter_context(run_postgres(locate_program(POSTGRES)))
        with demanded(RABBITMQ):
            started["rabbitmq"] = stack.enter_context(run_rabbitmq(locate_rabbitmq(own=True)))
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(
    servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Studio]:
    chromium()
    folder = tmp_path_factory.mktemp("studio") / "data"
    redis, amqp = (servers[name].url for name in ("redis", "rabbitmq"))
    with fresh_database(servers["postgres"]) as postgres:
        profile = Profile.servers(Path(folder), redis=redis, postgres=postgres, amqp=amqp)
        async with running(profile, webs=1, workers=2) as made:
            yield made


@pytest.mark.parametrize("name", ["redis", "postgres", "rabbitmq"])
async def test_a_server_is_restarted_and_killed_in_the_middle(
    studio: Studio, servers: Servers, page: Any, name: str
) -> None:
    """Nobody loads the page anew; the job ends, is told of once, and so does the next one."""
    server = servers[name]
    await page.set_input_files("#file", [sound("waves.wav")])
    [(_, id)] = await until(studio.gate.begun)
    await page.wait_for_selector("progress-tracker .stage[data-status=processing]")
    await asyncio.to_thread(server.restart)
    studio.gate.let(0.75)
    await page.wait_for_selector("progress-tracker .stage[data-status=processing]:has-text('75')")
    await asyncio.to_thread(server.kill)
    studio.gate.let(1)  # what the worker has to say finds nobody
    await asyncio.to_thread(server.restart)
    await page.wait_for_selector("#transcripts .state:text-is('Ready')")
    await page.wait_for_selector("notification-bell .badge:text-is('1')")
    await ended_once(studio, page, id)
    state = await api(page, f"{studio.url}progress/{id}")
    assert state["status"] == "completed"
    # what comes next finds everything in order
    await page.set_input_files("#file", [sound("more.wav")])
    await page.wait_for_selector("#transcripts .state:text-is('Ready') >> nth=1")
    await page.wait_for_selector("notification-bell .badge:text-is('2')")
