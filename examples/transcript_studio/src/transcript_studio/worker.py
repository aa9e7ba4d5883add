"""The worker process: ``jobqueue worker transcript_studio.worker:queue``.

``STUDIO_DATA`` names the folder and ``STUDIO_MAIL`` the mail server, as the studio sets them.
"""

import os
from pathlib import Path

from .services import build
from .steps.working import register

services = build(
    Path(os.environ.get("STUDIO_DATA", "studio-data")), mail_url=os.environ.get("STUDIO_MAIL")
)
register(services)
queue = services.queue
