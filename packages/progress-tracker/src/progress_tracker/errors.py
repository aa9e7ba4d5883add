"""Errors raised by progress_tracker.

ProgressError
├── ConfigurationError (also ValueError)     bad URL, unknown setting, missing tables
├── MissingExtraError (also ImportError)     an optional dependency is absent
├── UnsupportedOperationError                the store or backplane lacks the capability
├── BackendError                             the store failed; see .retryable and __cause__
├── ProgressNotFound (also LookupError)      no such operation, or it is another user's
├── ProgressConflict                         the id is taken, the operation has ended, or a newer
│                                            writer took it over
├── InvalidProgress (also ValueError)        a value cannot be progress; nothing was written
└── ProgressCancelled                        raised in the worker: somebody asked to cancel

Exceptions of tracked functions, blocks and callbacks are never wrapped.
"""


class ProgressError(Exception):
    """Root of everything that this package raises by itself."""


class ConfigurationError(ProgressError, ValueError):
    """A URL, setting or registration is wrong; the message names it and what is expected."""


class MissingExtraError(ProgressError, ImportError):
    """An optional dependency is not installed; the message is the command that installs it."""


class UnsupportedOperationError(ProgressError):
    """The adapter's ``capabilities`` do not include what was asked for."""


class BackendError(ProgressError):
    """The store or backplane could not be reached or refused a call.

    Attributes:
        retryable: Whether the same call may succeed later.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        """Say what failed and whether trying again makes sense."""
        super().__init__(message)
        self.retryable = retryable


class ProgressNotFound(ProgressError, LookupError):
    """No operation has this id for this user; it may have been deleted."""


class ProgressConflict(ProgressError):
    """The write came too late or to the wrong place: read the operation and decide anew."""


class InvalidProgress(ProgressError, ValueError):
    """A percent, count, stage, id or metadata is out of range; nothing was written."""


class ProgressCancelled(ProgressError):
    """Somebody asked for the operation to be cancelled: clean up and let it through."""
