"""The worker process: ``jobqueue worker transcript_studio.worker:queue``.

``STUDIO_DATA`` names the folder and ``STUDIO_MAIL`` the mail server, as the studio sets them.
"""

import logging
import os
from pathlib import Path

from .correlation import LogFilter
from .services import build
from .steps.working import register

# the command has set up the log before it imports this: its lines name the request they are for
for handler in logging.getLogger().handlers:
    handler.addFilter(LogFilter())
services = build(
    Path(os.environ.get("STUDIO_DATA", "studio-data")), mail_url=os.environ.get("STUDIO_MAIL")
)
register(services)
queue = services.queue
