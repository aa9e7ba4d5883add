"""A two-level cache: fast when hot, right when invalidated, up when the shared level is down."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._default import cache
    from .errors import (
        BackendError,
        CacheError,
        CacheFactoryTimeout,
        CacheSerializationError,
        ConfigurationError,
        MissingExtraError,
        UnsupportedOperationError,
    )
    from .models import MISSING, CacheContext, CacheOptions, CacheStats, Invalidation
    from .ports import Backplane, Capabilities, Compressor, LocalTier, RemoteTier, Serializer
    from .service import CacheProvider
    from .settings import Settings

__all__ = [
    "MISSING",
    "BackendError",
    "Backplane",
    "CacheContext",
    "CacheError",
    "CacheFactoryTimeout",
    "CacheOptions",
    "CacheProvider",
    "CacheSerializationError",
    "CacheStats",
    "Capabilities",
    "Compressor",
    "ConfigurationError",
    "Invalidation",
    "LocalTier",
    "MissingExtraError",
    "RemoteTier",
    "Serializer",
    "Settings",
    "UnsupportedOperationError",
    "cache",
]

if not TYPE_CHECKING:
    from ._common.lazy import exports

    __getattr__, __dir__ = exports(
        __name__, __all__, ("errors", "models", "settings", "ports", "service", "_default", "sync")
    )
