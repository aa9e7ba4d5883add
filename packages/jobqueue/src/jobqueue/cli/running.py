"""Commands that run until they are stopped: worker, dashboard."""

import argparse
import asyncio
import difflib
import logging
import os
import signal
from collections.abc import Callable, Iterable

from ..registry import local_dashboard
from ..service import JobQueue
from ..worker import Worker
from . import reloading
from .parsing import Commands, length, name, queues, whole
from .targets import check_shared, load, opened

logger = logging.getLogger(__name__)
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def add_to(commands: Commands) -> None:
    """Add the commands of this module."""
    text = "run the jobs of a queue until SIGTERM or Ctrl-C"
    worker = commands.add("worker", _worker, text, url=False)
    worker.add_argument("target", help="module:queue, for example app.jobs:queue")
    worker.add_argument("--queues", type=queues, help="high=2,default=4: jobs at once, by queue")
    worker.add_argument(
        "--shutdown-timeout", type=length, metavar="TIME", help="for running jobs to finish"
    )
    worker.add_argument(
        "--reload", action="store_true", help="run anew when a .py file below this folder changes"
    )
    worker.add_argument("--leash", type=whole(0, 1 << 20), help=argparse.SUPPRESS)
    dashboard = commands.add("dashboard", _dashboard, "show the queue in a browser, here only")
    dashboard.add_argument("target", nargs="?", help="module:queue, in place of --url")
    dashboard.add_argument("--host", default="127.0.0.1", help="address to listen on; 127.0.0.1")
    dashboard.add_argument(
        "--port", type=whole(0, 65_535), default=8321, help="0: a free one; 8321"
    )
    dashboard.add_argument("--read-only", action="store_true", help="allow no changes")
    dashboard.add_argument(
        "--allowed-host",
        action="append",
        type=name,
        default=[],
        metavar="NAME",
        help="a further name by which browsers may call it; may be given several times",
    )


async def _worker(arguments: argparse.Namespace) -> int:
    if arguments.reload:
        return await reloading.supervise(arguments)
    queue = load(arguments.target)
    warn_of_unknown(queue, arguments.queues or {})
    worker = Worker(queue, arguments.queues, shutdown_timeout=arguments.shutdown_timeout)
    async with queue:
        check_shared(queue)
        on_signals(worker.stop)
        if arguments.leash is not None:
            _obey(arguments.leash, worker)
        await worker.run()
    if worker.abandoned:
        # threads past their grace cannot be ended; their jobs are released already
        logging.shutdown()
        os._exit(0)
    return 0


def warn_of_unknown(queue: JobQueue, names: Iterable[str]) -> None:
    """Say which names are perhaps misspelt: a queue may be known to those alone who enqueue."""
    own = [each.queue for each in queue.handlers.known.values() if each.queue]
    known = {"default", *queue.settings.queues, *own}
    for given in set(names) - known:
        near = difflib.get_close_matches(given, known, 1)
        logger.warning(
            "worker.queue_unknown",
            extra={"queue": given, "did_you_mean": near[0] if near else None},
        )


def on_signals(stop: Callable[[], None]) -> None:
    """Call ``stop`` at the first SIGTERM or SIGINT; the second one ends the process hard."""
    loop = asyncio.get_running_loop()

    def stop_once() -> None:
        # what is running then is not lost: its leases run out
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        stop()

    for each in _SIGNALS:
        loop.add_signal_handler(each, stop_once)


def _obey(leash: int, worker: Worker) -> None:
    """Be the worker of a supervisor: it says when to stop, or closes the pipe by its own end."""
    loop = asyncio.get_running_loop()
    # Ctrl-C reaches us both, and counts once
    loop.remove_signal_handler(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def pulled() -> None:
        loop.remove_reader(leash)
        worker.stop()

    loop.add_reader(leash, pulled)


async def _dashboard(arguments: argparse.Namespace) -> int:
    if arguments.target and not arguments.url:
        queue = load(arguments.target)
        async with queue:
            check_shared(queue)
            return await _serve(queue, arguments)
    async with opened(arguments) as queue:
        return await _serve(queue, arguments)


async def _serve(queue: JobQueue, arguments: argparse.Namespace) -> int:
    local = local_dashboard(
        queue,
        host=arguments.host,
        port=arguments.port,
        read_only=arguments.read_only,
        allowed_hosts=arguments.allowed_host,
    )
    print(f"The dashboard is at {local.url}\nThe address works once. Ctrl-C ends it.", flush=True)
    await local.serve(on_signals)
    return 0
