"""Settings of the queue: the section ``job_queue`` of a YAML file."""

from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Annotated, ClassVar, Literal

import msgspec

from ._common.config import BaseSettings
from .errors import ConfigurationError

Priority = Annotated[int, msgspec.Meta(ge=-1000, le=1000)]
Key = Annotated[str, msgspec.Meta(min_length=16)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]


def zone(name: str) -> tzinfo:
    """Return an IANA time zone.

    Raises:
        ConfigurationError: There is none of that name.
    """
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # with the files that it looks for

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ConfigurationError(
            f"unknown time zone {name!r}; expected a name like 'Europe/Berlin'"
        ) from exc


class BrokerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which broker keeps the jobs.

    Attributes:
        type: A scheme of the registry (``memory``, ``sqlite``, ``redis``, ``rabbitmq``, …).
        connection_string: Its URL.
        store: The URL of the store behind a message broker (RabbitMQ, SQS).
        outbox: The URL of the database whose transactions enqueue (``session=``) where the broker
            is none itself. Workers relay what they find there.
    """

    type: str | None = None
    connection_string: str | None = None
    store: str | None = None
    outbox: str | None = None

    def url(self) -> str:
        """Return the URL of the registry that the section means.

        Raises:
            ConfigurationError: A part that the type needs is missing.
        """
        url = self.connection_string
        if self.type in {"rabbitmq", "sqs"}:
            if self.store is None:
                raise ConfigurationError(
                    f"broker type {self.type!r} needs the key 'store', the database that keeps the "
                    "jobs, for example store: postgresql://localhost/app"
                )
            scheme, _, rest = (url or "").removeprefix("celery+").partition("://")
            if self.type == "sqs":
                scheme = "sqs"
            elif scheme != "amqps":  # which must not become plain amqp
                scheme = "amqp"
            return f"celery+{scheme}://{rest}"
        if url is None:
            if self.type not in {None, "memory"}:
                raise ConfigurationError(f"broker type {self.type!r} needs 'connection_string'")
            return "memory://"
        return url


class QueueSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One queue.

    Attributes:
        priority: Added to the priority of each of its jobs.
        workers: How many of its jobs one worker process runs at once.
        aging: Against starvation: how many seconds of waiting outweigh one point of priority. None
            for strict priority.
    """

    priority: Priority = 0
    workers: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 4
    aging: Annotated[float, msgspec.Meta(ge=1e-3, le=1e6)] | None = None


class DefaultSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds where neither the call nor the handler says otherwise.

    Attributes:
        max_attempts: After so many a job is failed.
        backoff: ``exponential`` (full jitter) or ``fixed``.
        timeout: Seconds that an attempt may run.
        result_ttl: Seconds that completed and cancelled jobs are kept; 0 keeps none.
    """

    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 3
    backoff: Literal["fixed", "exponential"] = "exponential"
    timeout: Positive | None = 300.0
    result_ttl: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = 7 * 86_400.0


class SchedulerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cron.

    Attributes:
        enabled: Whether workers enqueue the due jobs of ``@queue.cron``.
        timezone: IANA zone of cron expressions without one, and of naive datetimes.
    """

    enabled: bool = True
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        """Refuse a zone that does not exist."""
        zone(self.timezone)


class MonitoringSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Figures for Prometheus.

    Attributes:
        enabled: Whether workers serve ``/metrics``.
        metrics_port: On loopback; None serves none.
    """

    enabled: bool = True
    metrics_port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] | None = None


class Settings(BaseSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole section ``job_queue``.

    Attributes:
        broker: Where jobs are kept.
        queues: Queues by name; ``default`` exists always.
        defaults: For jobs that say nothing.
        scheduler: Cron.
        monitoring: Metrics.
        max_payload: Most bytes of a job's data or result as JSON.
        lease: Seconds after which a silent worker's jobs are taken back.
        shutdown_timeout: Seconds that a stopping worker gives to running jobs.
        signing_keys: Secrets of 16 characters or more. The first signs what is enqueued; workers
            run only what one of them has signed. Without any nobody asks.
    """

    DIST: ClassVar[str] = "jobqueue"
    SECTION: ClassVar[str] = "job_queue"
    PREFIX: ClassVar[str] = "JOBQUEUE"
    URL_AT: ClassVar[tuple[str, str]] = ("broker", "connection_string")

    broker: BrokerSettings = BrokerSettings()
    queues: Mapping[str, QueueSettings] = {}
    defaults: DefaultSettings = DefaultSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    max_payload: Annotated[int, msgspec.Meta(ge=1)] = 1 << 20
    lease: Positive = 10.0
    shutdown_timeout: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 30.0
    signing_keys: tuple[Key, ...] = ()
