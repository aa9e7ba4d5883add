"""The Celery application whose workers answer rings."""

import logging
import os
from collections.abc import Callable, Sequence
from multiprocessing import process as processes
from typing import Any, Protocol

from ..._common.extras import require
from ...errors import ConfigurationError
from ...ports import Broker
from .addresses import RING, Address
from .broker import CeleryBroker

_CONSUMER = "jobqueue.adapters.celery.consumer:RingConsumer"
_JSON = {"json", "application/json"}
_FOREIGN = ("gevent", "eventlet")
_KEY: Any = vars(processes)["AuthenticationString"]
Ring = Callable[[str, int], None]


class Door(Protocol):
    """What stands before a queue in each process of a worker; its methods do not raise."""

    @property
    def names(self) -> Sequence[str]:
        """The queues that are served."""
        ...

    def preload(self) -> None:
        """Import what its thread would; this one raises MissingExtraError."""

    def obey(self, leash: int) -> None:
        """Wind down once the file descriptor can be read."""

    def answer(self, name: object) -> None:
        """Run jobs of the queue ``name``; blocks."""

    def keep_house(self) -> None:
        """Begin what one process of a worker does for all."""

    def leave_house(self) -> None:
        """End it."""

    def close(self) -> None:
        """Release what runs and disconnect."""


class Leash:
    """A pipe by which a worker's main process tells its children to wind down, or that it died."""

    def __init__(self) -> None:
        """Open the pipe; children inherit it."""
        self.reader, self._writer = os.pipe()
        self._pid, self._pulled = os.getpid(), False

    def pull(self) -> None:
        """Tell everybody. For signal handlers too."""
        if not self._pulled and self._pid == os.getpid():
            self._pulled = True
            os.write(self._writer, b".")  # nobody reads it: it can be read by all

    def inherited(self) -> None:
        """Close a child's copy of the writing end: then the parent's death closes the last one."""
        if self._pid != os.getpid() and self._writer >= 0:
            os.close(self._writer)
            self._writer = -1


def make_app(broker: Broker, make_door: Callable[[Ring], Door], app: Any = None) -> Any:
    """Return ``app``, or a new Celery application, whose workers answer the rings of ``broker``.

    Args:
        broker: What rings.
        make_door: Makes what answers, of what it may ring with.
        app: The application to extend.

    Raises:
        ConfigurationError: ``broker`` does not ring, or ``app`` cannot be used.
        MissingExtraError: Celery is not installed.
    """
    if not isinstance(broker, CeleryBroker):
        raise ConfigurationError(
            "this queue's broker rings no Celery workers; make the queue by "
            "JobQueue.from_url('celery+amqp://…', store='postgresql://…')"
        )
    celery: Any = require("celery", dist="jobqueue", extra="celery")
    address, door = broker.address, make_door(broker.ring)
    if own := app is None:
        app = celery.Celery("jobqueue", set_as_current=False)
        app.conf.update(_settings(address))
    else:
        _adopt(app, address)
    _add_task(app, door)
    app.steps["worker"].add(_keeper(_Watch(app, door, address, own=own)))
    return app


def _settings(address: Address) -> dict[str, Any]:
    first = address.queue("default")
    return {
        "broker_url": address.url,
        "broker_transport_options": dict(address.options),
        "broker_use_ssl": dict(address.tls) if address.tls else False,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "accept_content": ["json"],
        "task_serializer": "json",
        "task_default_queue": first,
        "task_default_exchange": first,
        "task_default_routing_key": first,
        "task_ignore_result": True,
        "worker_prefetch_multiplier": 1,
        # rings are all that these workers listen to: nobody shuts them down by a message
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_consumer": _CONSUMER,
    }


def _adopt(app: Any, address: Address) -> None:
    """Check and complete the configuration of the user's application.

    Raises:
        ConfigurationError: It takes more than JSON, or talks to another server.
    """
    conf = app.conf
    if not set(conf.accept_content) <= _JSON:
        raise ConfigurationError(
            f"accept_content of the Celery application must be ['json'], not {conf.accept_content}"
        )
    if not conf.broker_url:
        conf.broker_url = address.url
        conf.broker_transport_options = {**address.options, **(conf.broker_transport_options or {})}
        if address.tls:
            conf.broker_use_ssl = dict(address.tls)
    elif _place(conf.broker_url) != _place(address.url):
        raise ConfigurationError(
            "broker_url of the Celery application names another server than the queue's URL: its "
            "workers would hear no ring"
        )
    conf.worker_consumer = _CONSUMER


def _place(url: Any) -> tuple[Any, ...]:
    kombu: Any = require("kombu", dist="jobqueue", extra="celery")
    found = kombu.Connection(url)
    kinds = {"pyamqp": "amqp"}
    port = found.port or found.get_transport_cls().default_port
    host = {"localhost": "127.0.0.1"}.get(found.hostname, found.hostname)
    kind = kinds.get(found.transport_cls, found.transport_cls)
    return kind, host or "127.0.0.1", port, (found.virtual_host or "/")


def _add_task(app: Any, door: Door) -> None:
    if RING in app.tasks:
        raise ConfigurationError("this Celery application answers the rings of a queue already")

    def ring(*args: Any, **_: Any) -> None:
        """Look for jobs of a queue."""
        door.answer(args[0] if args else None)

    app.task(
        name=RING,
        ignore_result=True,
        acks_late=False,
        track_started=False,
        send_events=False,
        serializer="json",
        max_retries=0,
        shared=False,
    )(ring)


def _keeper(watch: "_Watch") -> type:
    """Return the bootstep of an application: in the worker's main process, after the pool."""
    bootsteps: Any = require("celery.bootsteps", dist="jobqueue", extra="celery")

    def create(_: Any, parent: Any, **__: Any) -> None:
        watch.begin(parent)

    def start(_: Any, __: Any) -> None:
        watch.door.keep_house()

    def stop(_: Any, __: Any) -> None:
        watch.pull()
        watch.door.leave_house()

    body = {
        "name": "jobqueue.Keeper",
        "requires": ("celery.worker.components:Pool",),
        "__init__": create,
        "start": start,
        "stop": stop,
        "terminate": stop,
    }
    return type("Keeper", (bootsteps.StartStopStep,), body)


class _Watch:
    """What a worker does at the signals of Celery."""

    def __init__(self, app: Any, door: Door, address: Address, *, own: bool) -> None:
        self._app, self.door, self._address, self._own = app, door, address, own
        self._leash: Leash | None = None
        signals: Any = require("celery.signals", dist="jobqueue", extra="celery")
        for signal, receiver in (
            (signals.celeryd_init, self.listen),
            (signals.worker_shutting_down, self.pull),
            (signals.worker_process_init, self.inherited),
            (signals.worker_process_shutdown, self.close),
            (signals.worker_shutdown, self.close),
        ):
            signal.connect(receiver, weak=False)

    def begin(self, worker: Any) -> None:
        """Prepare a worker's main process, before its pool has children."""
        pool = str(getattr(worker.pool_cls, "__module__", ""))
        if pool.endswith(_FOREIGN):
            raise ConfigurationError(f"{pool} cannot run jobs; use prefork, threads or solo")
        self.door.preload()
        self._leash = Leash()
        self.door.obey(self._leash.reader)
        for name in ("celery.worker.strategy", "celery.app.trace"):
            logging.getLogger(name).addFilter(_is_no_ring)
        if self._own:
            # a second of waiting at the start for what these workers have no use of
            worker.options.update(without_mingle=True, without_gossip=True)

    def listen(self, conf: Any = None, **_: Any) -> None:
        """Name the queues: the handlers are known by now, and ``-Q`` comes after this."""
        if conf is not self._app.conf:
            return
        kombu: Any = require("kombu", dist="jobqueue", extra="celery")
        rings = {self._address.queue(name): name for name in self.door.names}
        task = self._app.tasks[RING]
        task.rings, task.alone = rings, self._own
        queues = self._app.amqp.queues
        for queue in rings:
            queues.select_add(kombu.Queue(queue, routing_key=queue, durable=True))

    def pull(self, **_: Any) -> None:
        if self._leash is not None:
            self._leash.pull()

    def inherited(self, **_: Any) -> None:
        if self._leash is not None:
            self._leash.inherited()
        process: Any = processes.current_process()
        if type(process).__module__.startswith("billiard"):
            # for handlers in processes: Celery's children may have none of their own by default
            config = process._config  # noqa: SLF001
            config["authkey"] = _KEY(config["authkey"])
            config["daemon"] = False

    def close(self, **_: Any) -> None:
        self.door.close()


def _is_no_ring(record: logging.LogRecord) -> bool:
    """Whether a line of Celery's log is about anything else than a ring that went well."""
    data = getattr(record, "data", None)
    ring = isinstance(data, dict) and data.get("name") == RING
    return not (ring and record.levelno <= logging.INFO)
