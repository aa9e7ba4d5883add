"""The two profiles: files, and real servers that are started as the packages' tests start them."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pages import fresh_page, visiting
from studio_process import Studio

from _common.plugin import (  # noqa: F401  fixtures
    postgres_server,
    postgres_url,
    redis_prefix,
    redis_server,
    redis_url,
)
from _common.postgres_server import fresh_database
from messaging import prefix, rabbitmq_server  # noqa: F401  fixtures
from transcript_studio.profile import Profile


@pytest.fixture(params=["embedded", "servers"])
def profile(request: pytest.FixtureRequest, tmp_path: Path) -> Profile:
    """Return where the studio of this test keeps its data: the same tests hold on both."""
    if request.param == "embedded":
        return Profile.embedded(tmp_path / "data")
    needed = ("redis_url", "postgres_url", "rabbitmq_server", "prefix")
    redis, postgres, rabbitmq, name = (request.getfixturevalue(each) for each in needed)
    amqp = f"{rabbitmq.url}?prefix={name}"
    return Profile.servers(tmp_path / "data", redis=redis, postgres=postgres, amqp=amqp)


@pytest.fixture(scope="module", params=["embedded", "servers"])
def shared_profile(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Profile]:
    """Return the same for all tests of a module: they share a studio, as users do."""
    folder = tmp_path_factory.mktemp("studio") / "data"
    if request.param == "embedded":
        yield Profile.embedded(folder)
        return
    needed = ("redis_server", "postgres_server", "rabbitmq_server")
    redis, postgres, rabbitmq = (request.getfixturevalue(each) for each in needed)
    with ExitStack() as stack:
        database = stack.enter_context(fresh_database(postgres))
        amqp = f"{rabbitmq.url}?prefix=t{os.urandom(4).hex()}-"
        yield Profile.servers(folder, redis=redis.url, postgres=database, amqp=amqp)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Any]:
    """Return a browser for the pages of a module."""
    async with visiting() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def page(studio: Studio, browser: Any) -> AsyncIterator[Any]:
    """Return a page of a user of its own, on the first web process of the module's studio."""
    studio.gate.begin_anew()
    async with fresh_page(browser) as made:
        await made.goto(studio.url)
        yield made
    studio.gate.let(1)  # what a test that failed left at the gate holds no worker up
