"""The queue of the process, for applications that need only one."""

from typing import Final

from .service import JobQueue

queue: Final = JobQueue()
