"""What passes by itself: a server that does not answer, a disk that is full for now."""

from typing import Final

import exporter
import jobqueue
import notify
import progress_tracker
import semsearch
import tiered_cache

OUTAGES: Final[tuple[type[Exception], ...]] = (
    OSError,
    exporter.BackendError,
    jobqueue.BackendError,
    notify.BackendError,
    progress_tracker.BackendError,
    semsearch.BackendError,
    tiered_cache.BackendError,
)
