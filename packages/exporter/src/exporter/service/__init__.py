"""The service: what applications call, in three parts."""

from .downloads import ByteRange, Downloads
from .exporting import BatchItem
from .jobs import Jobs, Watcher

__all__ = ["BatchItem", "ByteRange", "ExportService", "Watcher"]


class ExportService(Jobs, Downloads):
    """Turns application data into files: as jobs with history and links, or at once.

    Safe for several event loops and threads. Loaders, asynchronous records and formats run on the
    loop from which ``export`` was called; rendering runs in threads.
    """
