"""Which queue a command is about."""

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from .._common.urls import file_path, scheme_of
from ..errors import ConfigurationError
from ..service import JobQueue
from ..settings import Settings


def load(target: str) -> JobQueue:
    """Return the queue that ``module:attribute`` names.

    Raises:
        ConfigurationError: There is no such module or attribute, or it is no queue.
    """
    module, _, attribute = target.partition(":")
    if not all(part.isidentifier() for part in module.split(".")):
        raise ConfigurationError(
            f"{target!a} names no module; expected module:queue, for example app.jobs:queue"
        )
    here = os.getcwd()  # noqa: PTH109  a str, as sys.path holds
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name is None or not (module == exc.name or module.startswith(f"{exc.name}.")):
            raise
        raise ConfigurationError(
            f"no module {module!r} for {target!r}; it is looked for in {here} and on PYTHONPATH"
        ) from exc
    for part in (attribute or "queue").split("."):
        found = getattr(found, part, None)
    found = getattr(found, "asynchronous", found)
    if not isinstance(found, JobQueue):
        raise ConfigurationError(f"{target!r} is no JobQueue; expected module:queue")
    return found


def check_shared(queue: JobQueue) -> None:
    """Refuse a queue that only the process of the application sees.

    Raises:
        ConfigurationError: Its jobs are in memory.
    """
    if not queue.broker.capabilities.shared:
        raise ConfigurationError(
            "this queue keeps jobs in the memory of one process, so this process would see none: "
            "set JOBQUEUE_URL, for example sqlite:///jobs.db, or call configure()"
        )


def _check_file(url: str) -> None:
    """Refuse a SQLite file that is not there: it would be made, empty, for a mistyped name.

    Raises:
        ConfigurationError: There is no such file.
    """
    if scheme_of(url) == "sqlite" and not (path := Path(file_path(url))).exists():
        raise ConfigurationError(
            f"there is no file {str(path)!r}; workers and applications make it, commands do not"
        )


@contextlib.asynccontextmanager
async def opened(arguments: argparse.Namespace) -> AsyncGenerator[JobQueue, None]:
    """Give the queue of ``--url`` or of the environment.

    Raises:
        ConfigurationError: Neither names one that outlives its process.
    """
    settings = Settings.from_url(arguments.url) if arguments.url else Settings.discover()
    if settings is None:
        raise ConfigurationError(
            "no broker is named: give --url, or set JOBQUEUE_URL or JOBQUEUE_CONFIG"
        )
    _check_file(settings.broker.url())
    queue = JobQueue(settings)
    if not queue.broker.capabilities.durable:
        raise ConfigurationError("jobs in memory belong to one process: name another broker")
    async with queue:
        yield queue
