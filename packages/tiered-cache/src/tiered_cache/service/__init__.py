"""The service: what applications call, in four parts."""

from .decorating import Decorating
from .values import Values, options_of

__all__ = ["CacheProvider", "options_of"]


class CacheProvider(Values, Decorating):
    """A cache of two levels: process memory, then what processes share.

    Safe for several event loops and threads; factories run where they were called. Values are kept
    by reference: do not change what the cache returns, or say ``copy=True``.
    """
