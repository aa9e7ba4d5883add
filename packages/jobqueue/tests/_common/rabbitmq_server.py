"""RabbitMQ for tests."""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .directories import temporary_directory
from .processes import free_port, unprivileged_user
from .server import Recipe, Server, running
from .services import Address, Program, Service, Unavailable, without_password

RABBITMQ = Service(name="rabbitmq", variable="RABBITMQ_URL", programs=(), wheels=())
# The one on PATH is Debian's wrapper, which starts the machine's own server.
PLACES = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "/opt/rabbitmq/sbin/rabbitmq-server")


def locate_rabbitmq(*, own: bool = False) -> Address | Program:
    """Return the address in the environment, unless it must be our ``own``, else the program.

    Raises:
        Unavailable: There is neither.
    """
    if not own and (url := os.environ.get(RABBITMQ.variable)):
        return Address(url, f"{RABBITMQ.variable}={without_password(url)}")
    for path in map(Path, PLACES):
        if path.is_file() and shutil.which("epmd"):
            version = re.search(r"rabbitmq_server-([0-9.]+)", str(path.resolve()))
            return Program(path, str(path), version[1] if version else "unknown")
    raise Unavailable(f"no RabbitMQ: set {RABBITMQ.variable}, or apt-get install rabbitmq-server")


@contextmanager
def run_rabbitmq(found: Address | Program) -> Iterator[Server]:
    """Give a server for the duration of the block, starting it if it is a program.

    It has a port mapper, a node name, a home and files of its own. They outlive a restart.
    """
    if isinstance(found, Address):
        yield Server(found.url, found.version, found.source)
        return
    user = unprivileged_user()
    with (
        temporary_directory("epmd", owner=user) as beside,
        temporary_directory("rabbitmq", owner=user) as directory,
        running(_mapper(beside)) as mapper,
        running(_recipe(found.path, directory, mapper.port)) as daemon,
    ):
        url = f"amqp://guest:guest@127.0.0.1:{daemon.port}//"
        yield Server(url, found.version, found.source, daemon)


def _mapper(directory: Path) -> Recipe:
    """Erlang's port mapper, which a node would otherwise leave running behind it."""
    program = shutil.which("epmd") or "epmd"

    def command(port: int) -> list[str | Path]:
        return [program, "-d", "-port", str(port), "-address", "127.0.0.1"]

    return Recipe(
        directory=directory,
        command=command,
        ready=b"epmd running",
        end_signal=signal.SIGKILL,
        stop_signal=signal.SIGTERM,
        user=unprivileged_user(),
    )


def _recipe(program: Path, directory: Path, mapper: int) -> Recipe:
    between = free_port()  # the node's own, to talk to other nodes

    def command(port: int) -> list[str | Path]:
        (directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{port}\nlog.console = true\nlog.file = false\n"
        )
        (directory / "enabled_plugins").write_text("[].")
        values = {
            "HOME": directory,
            "ERL_EPMD_PORT": mapper,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"test{between}@localhost",
            "RABBITMQ_DIST_PORT": between,
            "RABBITMQ_BASE": directory,
            "RABBITMQ_MNESIA_BASE": directory / "mnesia",
            "RABBITMQ_LOG_BASE": directory / "log",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": directory / "enabled_plugins",
            "RABBITMQ_CONFIG_FILE": directory / "rabbitmq.conf",
            "RABBITMQ_ALLOW_INPUT": 1,  # exec: the process is the server itself, no shell around it
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none",
        }
        words = [f"{name}={value}" for name, value in values.items()]
        return [shutil.which("env") or "env", *words, program, "-noinput"]

    return Recipe(
        directory=directory,
        command=command,
        ready=b"Server startup complete",
        end_signal=signal.SIGKILL,
        stop_signal=signal.SIGTERM,
        user=unprivileged_user(),
    )
