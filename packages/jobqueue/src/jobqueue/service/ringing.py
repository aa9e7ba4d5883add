"""Celery's workers as workers of the queue."""

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from ..registry import celery_app
from .base import ServiceBase

if TYPE_CHECKING:
    from . import JobQueue


class Ringing(ServiceBase):
    """Lends the queue's handlers to Celery."""

    def celery_app(self, app: Any = None) -> Any:
        """Return a Celery application whose workers run the jobs of this queue.

        ``app = queue.celery_app()`` beside the handlers, then ``celery -A module:app worker``.
        Needs a broker ``celery+…``; does no I/O.

        Args:
            app: An application of yours to extend, fully configured, that accepts JSON only and
                has the same message broker; None for a new one.

        Raises:
            ConfigurationError: The broker rings no Celery workers, or ``app`` cannot be used.
            MissingExtraError: Celery is not installed.
        """
        from ..worker.door import Door  # for Celery's workers only

        whole = cast("JobQueue", self)  # of which this is a part
        return celery_app(self.broker, partial(Door, whole), app)
