"""Errors raised by tiered_cache.

CacheError
├── ConfigurationError (also ValueError)     bad URL, unknown setting, wrong option
├── MissingExtraError (also ImportError)     an optional dependency is absent
├── UnsupportedOperationError                the adapter lacks the capability
├── BackendError                             the server failed; see .retryable and __cause__
├── CacheSerializationError (also TypeError) a value cannot come back from bytes as it went in
└── CacheFactoryTimeout (also TimeoutError)  a factory ran past its hard timeout

A factory's own exceptions pass through unwrapped. A fault of the shared level never reaches the
caller of ``get``, ``set``, ``get_or_set`` or ``cached``: it is a miss, logged and counted.
"""


class CacheError(Exception):
    """Root of everything that this package raises by itself."""


class ConfigurationError(CacheError, ValueError):
    """A URL, setting or option is wrong; the message names it and what is expected."""


class MissingExtraError(CacheError, ImportError):
    """An optional dependency is not installed; the message is the command that installs it."""


class UnsupportedOperationError(CacheError):
    """The adapter's ``capabilities`` do not include what was asked for."""


class BackendError(CacheError):
    """The shared level or the backplane could not be reached or refused a call.

    Attributes:
        retryable: Whether the same call may succeed later.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        """Say what failed and whether trying again makes sense."""
        super().__init__(message)
        self.retryable = retryable


class CacheSerializationError(CacheError, TypeError):
    """A value has no bytes that would give the same value back; keep it in L1 (``skip_l2``)."""


class CacheFactoryTimeout(CacheError, TimeoutError):
    """The factory ran longer than ``hard_timeout`` and no stale value could stand in."""
