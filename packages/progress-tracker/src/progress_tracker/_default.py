"""The tracker of the process, for applications that need only one."""

from typing import Final

from .service import ProgressTracker

tracker: Final = ProgressTracker()
