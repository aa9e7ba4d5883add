"""The spans of those who enqueue; the worker's spans are their children.

Attributes are those of OpenTelemetry's semantic conventions for messaging; the spans are called by
the job's name, since a queue holds jobs of many kinds.
"""

import contextlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from .._common.telemetry import annotate, is_traced, span
from ..ports import Record

_SENDING = {
    "messaging.system": "jobqueue",
    "messaging.operation.name": "enqueue",
    "messaging.operation.type": "send",
}


def sending(name: str) -> AbstractContextManager[None]:
    """Return the span around storing a job called ``name``."""
    attributes = {**_SENDING, "jobqueue.job.name": name}
    return span(__name__, f"enqueue {name}", attributes, kind="producer")


def sending_many(count: int) -> AbstractContextManager[None]:
    """Return the span around storing ``count`` jobs, which are all its children."""
    if not count or not is_traced():
        return contextlib.nullcontext()
    attributes = {**_SENDING, "messaging.batch.message_count": count}
    return span(__name__, "enqueue many", attributes, kind="producer")


def describe_sent(records: Sequence[Record]) -> None:
    """Say in the current span of :func:`sending` what is stored."""
    if not records or not is_traced():
        return
    attributes: dict[str, Any] = {}
    if len(queues := {record.queue for record in records}) == 1:
        attributes["messaging.destination.name"] = queues.pop()
    if len(records) == 1:
        attributes |= {"messaging.message.id": records[0].id, "jobqueue.job.name": records[0].name}
        attributes["messaging.message.body.size"] = len(records[0].data)
    annotate(attributes)
