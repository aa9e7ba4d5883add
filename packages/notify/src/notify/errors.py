"""Errors raised by notify.

NotifyError
├── ConfigurationError (also ValueError)     bad URL, unknown setting, missing tables
├── MissingExtraError (also ImportError)     an optional dependency is absent
├── UnsupportedOperationError                the adapter lacks the capability
├── BackendError                             the store failed; see .retryable and __cause__
├── InvalidNotification (also ValueError)    a notification that must not be sent
├── InvalidPreferences (also ValueError)     preferences that mean nothing
├── NotificationNotFound (also LookupError)  no such notification, or another user's
├── IdempotencyConflict                      the id or key belongs to another notification
├── TemplateError                            a template is missing, wrong or over its limits
└── ChannelError                             a provider did not take a message

Users' own exceptions (subscribers, directories) are never wrapped. ``ChannelError`` is raised by
channels for the delivery worker and ends in the delivery's record, never with a sender.
"""


class NotifyError(Exception):
    """Root of everything that this package raises by itself."""


class ConfigurationError(NotifyError, ValueError):
    """A URL, setting or registration is wrong; the message names it and what is expected."""


class MissingExtraError(NotifyError, ImportError):
    """An optional dependency is not installed; the message is the command that installs it."""


class UnsupportedOperationError(NotifyError):
    """The adapter's ``capabilities`` do not include what was asked for."""


class BackendError(NotifyError):
    """The store could not be reached or refused a call.

    Attributes:
        retryable: Whether the same call may succeed later.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        """Say what failed and whether trying again makes sense."""
        super().__init__(message)
        self.retryable = retryable


class InvalidNotification(NotifyError, ValueError):
    """A field is empty, too long, unsafe or unknown; the message names it. Nothing was stored."""


class InvalidPreferences(NotifyError, ValueError):
    """A channel, zone or quiet hour does not exist; the message names it. Nothing was stored."""


class NotificationNotFound(NotifyError, LookupError):
    """The user has no notification of this id; another user's looks the same."""


class IdempotencyConflict(NotifyError):
    """The id or idempotency key was used for other content: use a new one for new content."""


class TemplateError(NotifyError):
    """A template is missing, does not parse, names an unknown variable or is over its limits."""


class ChannelError(NotifyError):
    """A provider did not take a message.

    Messages hold codes only: a provider's own words may quote addresses.

    Attributes:
        retryable: Whether the same message may be taken later; else it is refused for good.
        invalid_recipient: Whether the address itself is refused, for good.
        retry_after: Seconds that the provider asked to wait, if it did.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        invalid_recipient: bool = False,
        retry_after: float | None = None,
    ) -> None:
        """Class the failure: retryable, invalid recipient, or (neither) permanent."""
        super().__init__(message)
        self.retryable = retryable and not invalid_recipient
        self.invalid_recipient = invalid_recipient
        self.retry_after = retry_after
