"""The service: what applications call, in parts."""

from .decorating import Decorating
from .locking import Locking
from .many import Many
from .values import options_of

__all__ = ["CacheProvider", "options_of"]


class CacheProvider(Many, Decorating, Locking):
    """A cache of two levels: process memory, then what processes share.

    Safe for several event loops and threads; factories run where they were called. Values are kept
    by reference: do not change what the cache returns, or say ``copy=True``.
    """
