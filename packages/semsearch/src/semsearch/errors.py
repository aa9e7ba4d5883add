"""Errors raised by semsearch.

SemSearchError
├── ConfigurationError (also ValueError)     bad URL, unknown setting, wrong query option
├── MissingExtraError (also ImportError)     an optional dependency is absent
├── UnsupportedOperationError                the adapter lacks the capability
├── NotConfiguredError (also the 1st, 3rd)   a query asks for a part that this search has not
├── BackendError                             a store failed; see .retryable and __cause__
├── InvalidFilter (also ValueError)          a filter has an unknown operator or a wrong value
├── InvalidDocument (also ValueError)        a document cannot be indexed; nothing was written
├── DimensionMismatch (also ValueError)      a vector has another length than the index
├── EmbeddingError                           the embedder failed or returned no usable vectors
└── DocumentNotFound (also LookupError)      no document has this id
"""


class SemSearchError(Exception):
    """Root of everything that this package raises by itself."""


class ConfigurationError(SemSearchError, ValueError):
    """A URL, setting or option is wrong; the message names it and what is expected."""


class MissingExtraError(SemSearchError, ImportError):
    """An optional dependency is not installed; the message is the command that installs it."""


class UnsupportedOperationError(SemSearchError):
    """The adapter's ``capabilities`` do not include what was asked for."""


class NotConfiguredError(UnsupportedOperationError, ConfigurationError):
    """A query asks for a part that this search has not; the message says how to give it."""


class BackendError(SemSearchError):
    """A store could not be reached or refused a call.

    Attributes:
        retryable: Whether the same call may succeed later.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        """Say what failed and whether trying again makes sense."""
        super().__init__(message)
        self.retryable = retryable


class InvalidFilter(SemSearchError, ValueError):
    """A filter has an unknown operator, a wrong value or is too deep; it is never ignored."""


class InvalidDocument(SemSearchError, ValueError):
    """A document's id, content or metadata cannot be indexed; nothing was written."""


class DimensionMismatch(SemSearchError, ValueError):
    """A vector has another length than the index: another model needs another index."""


class EmbeddingError(SemSearchError):
    """The embedder failed, or returned too few, wrong or non-finite vectors."""


class DocumentNotFound(SemSearchError, LookupError):
    """No document has this id, or the tenant filter hides it."""
