"""The worker process, told by the environment what :mod:`.profile` says.

``jobqueue worker transcript_studio.worker:queue``, or on servers ``celery -A
transcript_studio.worker:app worker``.
"""

import logging
import os
from typing import Any

from .correlation import LogFilter
from .profile import Profile
from .services import build
from .steps.working import register

profile = Profile.from_env(os.environ)
services = build(profile)
register(services)
queue = services.queue


def mark(logger: logging.Logger, **_: Any) -> None:
    """Let the lines of a log name the request that they are for."""
    for handler in logger.handlers:
        handler.addFilter(LogFilter())


if profile.is_celery:
    from celery.signals import after_setup_logger

    app = queue.celery_app()
    app.conf.worker_log_format = (
        "%(asctime)s %(levelname)s %(name)s %(message)s correlation_id=%(correlation_id)s"
    )
    after_setup_logger.connect(mark, weak=False)
else:
    mark(logging.getLogger())  # the command has set it up before it imports this
