"""The two profiles: files, and real servers that are started as the packages' tests start them."""

from pathlib import Path

import pytest

from _common.plugin import (  # noqa: F401  fixtures
    postgres_server,
    postgres_url,
    redis_prefix,
    redis_server,
    redis_url,
)
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
