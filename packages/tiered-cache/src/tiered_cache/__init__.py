"""A two-level cache: fast when hot, right when invalidated, up when the shared level is down."""

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
