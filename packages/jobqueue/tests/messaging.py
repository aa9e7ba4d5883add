"""Message brokers for the tests of Celery: RabbitMQ, SQS by moto, Redis."""

import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from _common.directories import temporary_directory
from _common.rabbitmq_server import RABBITMQ, locate_rabbitmq, run_rabbitmq
from _common.server import Recipe, Server, running
from _common.services import Service, Unavailable, demanded

MOTO = Service(name="moto", variable="MOTO_URL", programs=(), wheels=())


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[Server]:
    """RabbitMQ for the whole session (for each worker of pytest-xdist its own)."""
    with demanded(RABBITMQ), run_rabbitmq(locate_rabbitmq()) as server:
        yield server


@pytest.fixture
def own_rabbitmq(rabbitmq_server: Server) -> Iterator[Server]:
    """RabbitMQ that may be killed; it is up again afterwards, for it is the session's if that is
    ours.
    """
    if rabbitmq_server.daemon is None:
        with demanded(RABBITMQ), run_rabbitmq(locate_rabbitmq(own=True)) as server:
            yield server
        return
    yield rabbitmq_server
    if rabbitmq_server.pid is None:
        rabbitmq_server.restart()


@pytest.fixture
def prefix() -> str:
    """Return what the names of this test's queues begin with."""
    return f"t{os.urandom(4).hex()}-"


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Server]:
    """AWS by moto, in a process of its own."""
    with demanded(MOTO):
        for name in ("moto", "flask", "boto3", "pycurl"):
            if importlib.util.find_spec(name) is None:
                raise Unavailable(f"SQS needs {name}: pip install 'moto[server]' 'celery[sqs]'")
        with temporary_directory("moto") as directory, running(_recipe(directory)) as daemon:
            url = f"sqs://testing:testing@127.0.0.1:{daemon.port}"
            yield Server(url, "moto", "wheel moto", daemon)


def _recipe(directory: Path) -> Recipe:
    def command(port: int) -> list[str | Path]:
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]

    return Recipe(
        directory=directory,
        command=command,
        ready=b"Running on",
        end_signal=signal.SIGKILL,
        stop_signal=signal.SIGTERM,
    )


@pytest.fixture
def amqp_url(rabbitmq_server: Server, prefix: str) -> str:
    """Return the URL of RabbitMQ as a queue takes it."""
    return f"celery+{rabbitmq_server.url}?prefix={prefix}"


@pytest.fixture
def sqs_url(moto_server: Server, prefix: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of SQS as a queue takes it."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return f"celery+{moto_server.url}?prefix={prefix}&region=us-east-1&tls=off"


@pytest.fixture
def celery_redis_url(redis_url: str, prefix: str) -> str:
    """Return the URL of Redis as a message broker."""
    return f"celery+{redis_url}?prefix={prefix}"
