"""``@cache.cached``: functions whose results are remembered."""

from .calls import Cached, CachedFunction, cached_function

__all__ = ["Cached", "CachedFunction", "cached_function"]
