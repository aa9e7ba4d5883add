"""Rings as Celery's messages, by Kombu alone: who only enqueues need not load Celery."""

import contextlib
from typing import Any

from ..._common.clock import new_id
from ..._common.extras import require
from .addresses import RING, Address
from .bell import ENOUGH


class KombuChime:
    """A connection of Kombu. For one thread."""

    def __init__(self, address: Address) -> None:
        """Connect to ``address``.

        Raises:
            Exception: Whatever the library raises.
        """
        kombu: Any = require("kombu", dist="jobqueue", extra=_extra(address))
        self._address = address
        self._connection = kombu.Connection(
            address.url,
            connect_timeout=address.timeout,
            transport_options={**address.options, **_limits(address)},
            ssl=dict(address.tls) if address.tls else False,
        )
        try:
            self._channel = self._connection.channel()
            self._producer = kombu.Producer(self._channel)
        except BaseException:
            self.close()
            raise

    def strike(self, name: str, count: int) -> None:
        """Publish up to ``count`` rings for the queue ``name``, no more than would be answered."""
        queue = self._address.queue(name)
        for _ in range(min(count, ENOUGH - self.declare(queue))):
            self._publish(queue, name)

    def declare(self, queue: str) -> int:
        """Make sure that there is such a Celery queue; return how many rings wait in it."""
        found = self._channel.queue_declare(
            queue=queue, durable=True, auto_delete=False, exclusive=False
        )
        return int(found.message_count)

    def _publish(self, queue: str, name: str) -> None:
        # version 2 of Celery's message protocol
        job = new_id()
        headers = {"lang": "py", "task": RING, "id": job, "root_id": job, "ignore_result": True}
        nothing = dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))
        self._producer.publish(
            [[name], {}, nothing],
            exchange="",
            routing_key=queue,
            serializer="json",
            headers=headers,
            correlation_id=job,
            delivery_mode="transient",
        )

    def close(self) -> None:
        """Disconnect."""
        with contextlib.suppress(Exception):  # half open, or cut
            self._connection.release()


def _extra(address: Address) -> str:
    return "sqs" if address.transport == "sqs" else "celery"


def _limits(address: Address) -> dict[str, Any]:
    """Return the options that bound the time of each call."""
    seconds = address.timeout
    if address.transport == "sqs":
        retries = {"total_max_attempts": 1}
        limits = {"connect_timeout": seconds, "read_timeout": seconds, "retries": retries}
        return {"client-config": limits}
    if address.transport in {"redis", "rediss"}:
        return {"socket_timeout": seconds, "socket_connect_timeout": seconds}
    return {"read_timeout": seconds, "write_timeout": seconds}
