"""Errors raised by exporter.

ExportError (see .reason)
├── ConfigurationError (also ValueError)     bad URL, unknown setting, no tables or signing key
├── MissingExtraError (also ImportError)     an optional dependency is absent
├── UnsupportedOperationError                the adapter or format lacks the capability
├── BackendError                             storage or history failed; see .retryable and __cause__
│   └── StorageError                         a file could not be written, read or deleted
├── InvalidSource (also ValueError)          the data does not fit its kind; a name is not allowed
├── UnknownFormat (also LookupError)         no such format, or the settings disable it
├── ExportNotFound (also LookupError)        no such export for this user
├── ExportExpired                            the link or the file is past its time
├── ExportCancelled                          the export was cancelled
├── ExportTooLarge                           the file grew over max_size; nothing was kept
├── TemplateError                            a template is missing, wrong or went too far
└── InvalidLink                              the token is forged, foreign, malformed or used up

Exceptions of loaders, formats and callbacks are the user's own: ``export_to`` passes them through,
a job stores their type and message as its error.
"""


class ExportError(Exception):
    """Root of everything that this package raises by itself.

    Attributes:
        reason: A word for programs: ``timeout``, ``busy``, ``not_ready``, ``failed``,
            ``interrupted``, ``conflict``; None where the class says it all.
    """

    def __init__(self, message: str = "", *, reason: str | None = None) -> None:
        """Say what went wrong, and in one word for programs."""
        super().__init__(message)
        self.reason = reason


class ConfigurationError(ExportError, ValueError):
    """A URL, setting or registration is wrong; the message names it and what is expected."""


class MissingExtraError(ExportError, ImportError):
    """An optional dependency is not installed; the message is the command that installs it."""


class UnsupportedOperationError(ExportError):
    """The adapter's ``capabilities`` do not include what was asked for."""


class BackendError(ExportError):
    """A storage or history could not be reached or refused a call.

    Attributes:
        retryable: Whether the same call may succeed later.
    """

    def __init__(
        self, message: str = "", *, retryable: bool = False, reason: str | None = None
    ) -> None:
        """Say what failed and whether trying again makes sense."""
        super().__init__(message, reason=reason)
        self.retryable = retryable


class StorageError(BackendError):
    """A file could not be written, read back whole, or deleted: a full disk, a lost object."""


class InvalidSource(ExportError, ValueError):
    """The data cannot be exported, or a name is not allowed; the message names the field."""


class UnknownFormat(ExportError, LookupError):
    """No format of this name is registered, or the settings disable it."""


class ExportNotFound(ExportError, LookupError):
    """There is no such export, or it belongs to another user."""


class ExportExpired(ExportError):
    """The link is past its time, or the file was removed by retention."""


class ExportCancelled(ExportError):
    """The export was cancelled; there is no file."""


class ExportTooLarge(ExportError):
    """The file grew over ``max_size``; nothing of it was kept."""


def too_large(limit: int) -> ExportTooLarge:
    """Return the error of a file of over ``limit`` bytes."""
    return ExportTooLarge(f"the file is over {limit} bytes")


class TemplateError(ExportError):
    """A template is missing, does not compile, names what is not there, or goes too far."""


class InvalidLink(ExportError):
    """The token of a link is forged, malformed, made for somebody else, or used up."""
