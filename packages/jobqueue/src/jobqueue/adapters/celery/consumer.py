"""How a worker takes messages: what comes through our queues is a ring, whatever it says.

Celery names this class by ``worker_consumer``; nothing else imports it.
"""

import json
from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer

from ..._common.clock import new_id
from .addresses import RING


class RingConsumer(Consumer):  # type: ignore[misc]  # Celery has no types
    """Celery's consumer, which trusts nothing in the messages of our queues.

    Body, headers and properties are replaced unread: forged times, ids, names, serializers and
    arguments are gone before anything decodes or logs them. What remains is which queue it was.
    """

    def create_task_handler(self, **options: Any) -> Any:
        """Return what takes each message."""
        handle: Callable[[Any], Any] = super().create_task_handler(**options)
        app: Any = self.app
        rings: dict[str, str] = getattr(app.tasks.get(RING), "rings", {})

        def received(message: Any) -> Any:
            name = rings.get(str((message.delivery_info or {}).get("routing_key")))
            if name is not None:
                _clean(message, name)
            return handle(message)

        return received


def _clean(message: Any, name: str) -> None:
    ring = new_id()
    message.headers = {"lang": "py", "task": RING, "id": ring, "root_id": ring}
    message.properties = {"correlation_id": ring, "delivery_tag": message.delivery_tag}
    message.body = json.dumps([[name], {}, {}])
    message.content_type, message.content_encoding = "application/json", "utf-8"
    message.errors, message._decoded_cache = [], None  # noqa: SLF001  what was read of it before
