"""Background jobs for asyncio and blocking code, on what the application already runs."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._default import queue
    from .context import JobContext
    from .errors import (
        BackendError,
        ConfigurationError,
        DuplicateJob,
        JobCancelled,
        JobFailed,
        JobNotFound,
        JobQueueError,
        JobTimeout,
        MissingExtraError,
        PayloadError,
        QueueFull,
        RetryJob,
        UnknownJob,
        UnsupportedOperationError,
    )
    from .middleware import Draft, Middleware
    from .models import Job, JobFilters, JobOptions, JobStatus, Latencies, Page, QueueStats, Retry
    from .ports import Broker, Capabilities
    from .service import JobQueue
    from .settings import Settings
    from .worker import Worker

__all__ = [
    "BackendError",
    "Broker",
    "Capabilities",
    "ConfigurationError",
    "Draft",
    "DuplicateJob",
    "Job",
    "JobCancelled",
    "JobContext",
    "JobFailed",
    "JobFilters",
    "JobNotFound",
    "JobOptions",
    "JobQueue",
    "JobQueueError",
    "JobStatus",
    "JobTimeout",
    "Latencies",
    "Middleware",
    "MissingExtraError",
    "Page",
    "PayloadError",
    "QueueFull",
    "QueueStats",
    "Retry",
    "RetryJob",
    "Settings",
    "UnknownJob",
    "UnsupportedOperationError",
    "Worker",
    "queue",
]

if not TYPE_CHECKING:
    from ._common.lazy import exports

    __getattr__, __dir__ = exports(
        __name__,
        __all__,
        (
            "errors",
            "models",
            "context",
            "settings",
            "ports",
            "middleware",
            "worker",
            "service",
            "_default",
            "sync",
        ),
    )
