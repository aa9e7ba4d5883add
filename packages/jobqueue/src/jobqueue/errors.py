"""Errors raised by jobqueue.

JobQueueError
├── ConfigurationError (also ValueError)     bad URL, unknown setting, missing tables
├── MissingExtraError (also ImportError)     an optional dependency is absent
├── UnsupportedOperationError                the broker lacks the capability
├── BackendError                             the broker failed; see .retryable and __cause__
│   └── QueueFull                            the broker has no room; nothing was enqueued
├── PayloadError (also ValueError)           data or a result cannot be stored or read
├── DuplicateJob                             the id or unique key belongs to another job
├── JobNotFound (also LookupError)           no such job
├── UnknownJob                               no handler of that name is registered
├── JobFailed                                the awaited job failed; see .job
├── JobCancelled                             the awaited job was cancelled; see .job
├── JobTimeout                               the handler ran longer than its timeout
└── RetryJob                                 raised by handlers: run me again later

Handlers' own exceptions are stored with the job and never wrapped. Running out of time in ``wait``
or ``result`` is the builtin ``TimeoutError``.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

    from .models import Job


class JobQueueError(Exception):
    """Root of everything that this package raises by itself."""


class ConfigurationError(JobQueueError, ValueError):
    """A URL, setting or registration is wrong; the message names it and what is expected."""


class MissingExtraError(JobQueueError, ImportError):
    """An optional dependency is not installed; the message is the command that installs it."""


class UnsupportedOperationError(JobQueueError):
    """The broker's ``capabilities`` do not include what was asked for."""


class BackendError(JobQueueError):
    """The broker could not be reached or refused a call.

    Attributes:
        retryable: Whether the same call may succeed later.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        """Say what failed and whether trying again makes sense."""
        super().__init__(message)
        self.retryable = retryable


class QueueFull(BackendError):
    """The broker's disk or memory is full; nothing was enqueued, and jobs still drain."""


class PayloadError(JobQueueError, ValueError):
    """Data or a result is not JSON, is over ``max_payload``, or does not fit the handler."""


class DuplicateJob(JobQueueError):
    """A job with this id has other content, or an unfinished one holds the unique key.

    Attributes:
        job_id: The id of the job that is there.
    """

    def __init__(self, message: str, *, job_id: str) -> None:
        """Name the job that is in the way."""
        super().__init__(message)
        self.job_id = job_id


class JobNotFound(JobQueueError, LookupError):
    """No job has this id; it may have been purged."""


class UnknownJob(JobQueueError):
    """The worker has no handler of the job's name: register it, or correct the name."""


class _Ended(JobQueueError):
    def __init__(self, job: "Job", message: str) -> None:
        super().__init__(message)
        self.job = job


class JobFailed(_Ended):
    """The job whose result was awaited failed for good; ``job.error`` tells why."""


class JobCancelled(_Ended):
    """The job whose result was awaited was cancelled."""


class JobTimeout(JobQueueError):
    """The handler ran longer than the job's ``timeout``; the attempt counts as failed."""


class RetryJob(JobQueueError):
    """Raised by a handler: this attempt is over, run the job again.

    It is no failure to log, but it uses up an attempt like one.
    """

    def __init__(
        self, delay: "float | timedelta | None" = None, reason: str = "retry requested"
    ) -> None:
        """Run again after ``delay`` seconds; None leaves it to the job's backoff."""
        super().__init__(reason)
        self.delay = delay
