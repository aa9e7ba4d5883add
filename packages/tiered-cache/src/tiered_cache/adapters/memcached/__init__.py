"""memcached: the shared level, and how its client is led."""

from .tier import MemcachedTier

__all__ = ["MemcachedTier"]
