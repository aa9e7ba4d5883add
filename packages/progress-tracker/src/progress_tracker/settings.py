"""Settings of the tracker: the section ``progress_tracker`` of a YAML file."""

from typing import Annotated, ClassVar, Literal

import msgspec

from ._common.config import BaseSettings
from ._common.urls import scheme_of
from .errors import ConfigurationError

Seconds = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
TableName = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z_][A-Za-z0-9_]{0,39}\Z")]
_REDIS = {"redis", "rediss", "unix", "valkey", "valkeys"}
_SCHEMES = {
    "postgresql": {"postgresql", "postgres"},
    "mysql": {"mysql", "mariadb"},
    "redis": _REDIS,
    "valkey": _REDIS,
}


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class StorageSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which store keeps the operations.

    Attributes:
        type: A scheme of the registry: ``memory``, ``sqlite``, ``postgresql``, ``mysql``,
            ``redis``, ``mongodb``.
        connection_string: Its URL.
        table: The table in SQL stores, the prefix of keys in Redis, the collection in MongoDB.
    """

    type: str | None = None
    connection_string: str | None = None
    table: TableName = "progress"

    def url(self) -> str:
        """Return the URL of the registry that the section means.

        Raises:
            ConfigurationError: A part is missing, or the two keys contradict each other.
        """
        if self.connection_string is not None and not self.connection_string.strip():
            # as an unset variable leaves it: memory in its place would lose everything
            raise ConfigurationError("storage.connection_string is empty: leave it out for memory")
        if self.connection_string is None:
            if self.type not in {None, "memory"}:
                raise ConfigurationError(f"storage type {self.type!r} needs 'connection_string'")
            return "memory://"
        if self.type is not None:
            scheme = scheme_of(self.connection_string).partition("+")[0]
            if scheme not in _SCHEMES.get(self.type, {self.type}):
                raise ConfigurationError(
                    f"storage type {self.type!r} does not fit a {scheme}:// connection_string"
                )
        return self.connection_string


class CacheSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The read cache in front of a store that is not in memory itself.

    Attributes:
        enabled: Whether ``get`` may answer from memory. The backplane tells of other processes'
            changes, so an answer is behind by a backplane's delay at most.
        ttl: Seconds that an entry is used without asking the store.
    """

    enabled: bool = True
    ttl: Seconds = 3600.0


class CleanupSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the tracker does by itself, at most once a minute.

    Attributes:
        enabled: Whether it does; ``sweep()`` works in any case.
        retain_completed: Seconds that completed and cancelled operations are kept.
        retain_failed: Seconds that failed operations are kept.
    """

    enabled: bool = True
    retain_completed: Seconds = 86_400.0
    retain_failed: Seconds = 604_800.0


class RealtimeSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How watchers learn of changes.

    Attributes:
        enabled: Whether a backplane tells them; else each watcher reads once a second.
        websocket_url: Where the web application is; ``progress-tracker watch`` uses it.
        backplane: ``memory://``, ``polling://?interval=0.1``, ``redis://…`` or
            ``postgresql://…``; what fits the store if None.
        safety_poll: Seconds between reads that make up for a lost message of the backplane.
    """

    enabled: bool = True
    websocket_url: str | None = None
    backplane: str | None = None
    safety_poll: Seconds = 15.0


class Settings(BaseSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole section ``progress_tracker``.

    Attributes:
        storage: Where operations are kept.
        cache: The read cache.
        cleanup: Retention.
        realtime: Watching.
        min_interval: A handle stores at most one ordinary update per so many seconds.
        stale_after: Seconds without a write after which an operation has stalled.
        lease: The same for operations with a handle, which renews it by itself.
        retry_budget: Seconds that ``create``, ``complete`` and ``fail`` try again.
        on_store_error: ``log`` keeps an update and writes it when the store is back; ``raise``
            raises ``BackendError`` as well.
    """

    DIST: ClassVar[str] = "progress-tracker"
    SECTION: ClassVar[str] = "progress_tracker"
    PREFIX: ClassVar[str] = "PROGRESS_TRACKER"
    URL_AT: ClassVar[tuple[str, str]] = ("storage", "connection_string")

    storage: StorageSettings = StorageSettings()
    cache: CacheSettings = CacheSettings()
    cleanup: CleanupSettings = CleanupSettings()
    realtime: RealtimeSettings = RealtimeSettings()
    min_interval: Annotated[float, msgspec.Meta(ge=0.001, le=3600)] = 0.1
    stale_after: Seconds = 3600.0
    lease: Annotated[float, msgspec.Meta(ge=0.05, le=1e9)] = 30.0
    retry_budget: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 5.0
    on_store_error: Literal["log", "raise"] = "log"
