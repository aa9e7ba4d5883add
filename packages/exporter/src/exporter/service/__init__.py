"""The service: what applications call, in four parts."""

from .downloads import ByteRange, Downloads
from .exporting import BatchItem
from .jobs import Watcher
from .workers import Workers

__all__ = ["BatchItem", "ByteRange", "ExportService", "Watcher"]


class ExportService(Workers, Downloads):
    """Turns application data into files: as jobs with history and links, or at once.

    Safe for several event loops and threads. Loaders, asynchronous records and formats run on the
    loop from which ``export`` was called; rendering runs in threads, or in processes
    (``jobs.executor``), or wherever the workers of a job queue are (:class:`Executor`).
    """
