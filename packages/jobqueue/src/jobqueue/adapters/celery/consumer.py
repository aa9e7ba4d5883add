"""How a worker takes messages: what comes through our queues is a ring, whatever it says.

Celery names this class by ``worker_consumer``; nothing else imports it.
"""

import json
import logging
from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer

from ..._common.clock import new_id
from .addresses import RING

logger = logging.getLogger(__name__)


class RingConsumer(Consumer):  # type: ignore[misc]  # Celery has no types
    """Celery's consumer, which trusts nothing in the messages of our queues.

    Body, headers and properties are replaced unread: forged times, ids, names, serializers and
    arguments are gone before anything decodes or logs them. What remains is which queue it was.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take what Celery gives its consumers."""
        super().__init__(*args, **options)
        loop: Callable[..., None] = vars(self)["loop"]
        self.loop = _guarded(loop)

    def _name(self, message: Any) -> str | None:
        """Return the queue that a message rings for; "" for one that no queue is known of.

        None if it belongs to the application that was extended.
        """
        app: Any = self.app
        ring: Any = app.tasks.get(RING)
        about = message.delivery_info or {}
        for place in (about.get("routing_key"), str(about.get("sqs_queue")).rpartition("/")[2]):
            if (name := ring.rings.get(str(place))) is not None:
                return str(name)
        return "" if ring.alone else None

    def create_task_handler(self, *args: Any, **options: Any) -> Any:
        """Return what takes each message."""
        handle: Callable[[Any], Any] = super().create_task_handler(*args, **options)

        def received(message: Any) -> Any:
            if name := self._name(message):
                _clean(message, name)
            elif name is not None:
                return _drop(message, "stray")
            return handle(message)

        return received

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Drop what not even Kombu can open, without showing it to the log as Celery does."""
        if self._name(message) is None:
            super().on_decode_error(message, exc)
        else:
            _drop(message, type(exc).__name__)


def _drop(message: Any, reason: str) -> None:
    logger.warning("ring.unreadable", extra={"reason": reason})
    message.ack()


def _guarded(loop: Callable[..., None]) -> Callable[..., None]:
    """Reconnect where Celery would end the worker for what it cannot parse (Redis, SQS)."""

    def guarded(*args: Any) -> None:
        try:
            loop(*args)
        except (ValueError, LookupError, TypeError, AttributeError) as exc:
            logger.warning("ring.unreadable", extra={"reason": type(exc).__name__})
            raise ConnectionResetError("a message could not be parsed") from None

    return guarded


def _clean(message: Any, name: str) -> None:
    ring = new_id()
    message.headers = {"lang": "py", "task": RING, "id": ring, "root_id": ring}
    message.properties = {"correlation_id": ring, "delivery_tag": message.delivery_tag}
    message.body = json.dumps([[name], {}, {}])
    message.content_type, message.content_encoding = "application/json", "utf-8"
    message.errors, message._decoded_cache = [], None  # noqa: SLF001  what was read of it before
