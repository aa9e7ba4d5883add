"""Settings of the cache: the section ``cache`` of a YAML file."""

from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

import msgspec

from ._common.config import BaseSettings
from ._common.urls import flag, query_of, without_query
from .errors import ConfigurationError

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class L1Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Process memory.

    Attributes:
        enabled: Whether values are kept in it.
        policy: Which value leaves where there is no room: ``s3fifo``, ``sieve``, ``lru``, and with
            their extras ``tinylfu`` (theine) and ``cachetools-lfu``, ``-lru``, ``-fifo``,
            ``-random``.
        max_size: The most values.
        max_bytes: The most bytes, estimated; None for no limit.
        ttl: Seconds for which L1 may serve a value without asking L2; with no L2, values live as
            long as their own ttl.
    """

    enabled: bool = True
    policy: str = "s3fifo"
    max_size: Count = 1000
    max_bytes: Count | None = None
    ttl: Positive = 60.0


class L2Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The shared level.

    Attributes:
        enabled: Whether it is used.
        connection_string: ``redis://…``, ``sqlite:///cache.db`` or ``memory://`` (none).
        default_ttl: Seconds that a value lives where the call names no ttl.
        key_prefix: Before every key and tag; caches with different ones share a server or file.
        lease: Seconds after which another process may compute a key whose computing process died;
            while it lives it renews the lease. None lets every process compute for itself.
        lease_wait: Seconds that a process waits at most for another one's value.
        timeout: Seconds that one call may take; 0.1 if None, and 5 for a SQLite file, whose disk
            may be slow to confirm a write.
    """

    enabled: bool = True
    connection_string: str | None = None
    default_ttl: Positive = 3600.0
    key_prefix: str = "cache:"
    lease: Positive | None = 2.0
    lease_wait: Positive = 30.0
    timeout: Positive | None = None

    @property
    def patience(self) -> float:
        """Seconds that one call may take."""
        if self.timeout is not None:
            return self.timeout
        return 5.0 if (self.connection_string or "").startswith("sqlite") else 0.1


class CompressionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Compression of what goes to the shared level.

    Attributes:
        enabled: Whether values over the threshold are compressed.
        threshold: Bytes.
        algorithm: ``zlib``, or with their extras ``zstd`` and ``lz4``.
        max_size: The most bytes that a value may have when decompressed.
    """

    enabled: bool = True
    threshold: Count = 1024
    algorithm: Literal["zlib", "zstd", "lz4"] = "zlib"
    max_size: Count = 64 << 20


class MetricsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The exporter of counters.

    Attributes:
        enabled: Whether a given ``metrics_exporter`` is called.
        collect_interval: How often, in seconds.
        share: Whether the figures are put into the shared level as often, where
            ``tiered-cache stats`` and ``top`` find those of all processes.
    """

    enabled: bool = True
    collect_interval: Positive = 60.0
    share: bool = False


class Settings(BaseSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole section ``cache``.

    Attributes:
        l1: Process memory.
        l2: The shared level.
        compression: Of values in the shared level.
        metrics: The exporter.
        serializer: ``msgpack``, ``json``, ``raw`` (bytes only), ``pickle-signed``, or another
            distribution's. Bytes of any other one are misses.
        signing_keys: For ``pickle-signed``: the first one signs, all are accepted; of at least 16
            characters. Whoever has one can run code in every process that reads the cache.
        suspect_after: Seconds without a sign of life of the backplane, after which L1 is doubted.
        strict: Raise ``BackendError`` where an invalidation cannot be confirmed.
    """

    DIST: ClassVar[str] = "tiered-cache"
    SECTION: ClassVar[str] = "cache"
    PREFIX: ClassVar[str] = "TIERED_CACHE"
    URL_AT: ClassVar[tuple[str, str]] = ("l2", "connection_string")

    l1: L1Settings = L1Settings()
    l2: L2Settings = L2Settings()
    compression: CompressionSettings = CompressionSettings()
    metrics: MetricsSettings = MetricsSettings()
    serializer: str = "msgpack"
    signing_keys: tuple[str, ...] = ()
    suspect_after: Positive = 2.0
    strict: bool = False

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Return the settings of ``redis://…`` with L1 and backplane; ``?l1=off`` for L2 alone.

        Raises:
            ConfigurationError: It is no URL, or ``l1`` is neither on nor off.
        """
        if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance]  a caller's mistake
            raise ConfigurationError(f"a URL must be a str, not {url!r}: redis://localhost:6379/0")
        try:
            urlsplit(url)
        except ValueError as exc:  # brackets that do not match
            raise ConfigurationError(f"not a URL: {exc}") from exc
        local = flag(query_of(url), "l1", default=True)
        rest = without_query(url, "l1").replace("$", "$$")
        return cls.from_mapping({"l1": {"enabled": local}, "l2": {"connection_string": rest}})
