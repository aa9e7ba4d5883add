"""Where notifications are kept, and for how long."""

import re

from .._common.urls import redact, scheme_of
from ..errors import ConfigurationError
from .section import Positive, Section

_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_SCHEMES = {
    "postgres": "postgresql", "mariadb": "mysql",
    **dict.fromkeys(("rediss", "unix", "valkey", "valkeys"), "redis"),
}  # fmt: skip


class StorageSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where notifications are kept.

    Attributes:
        type: ``memory``, ``sqlite``, ``postgresql``, ``mysql``, ``redis`` or ``mongodb``; what
            ``connection_string`` says if None.
        connection_string: The store's URL.
        path: The file of a SQLite store, in place of a URL.
        table: The name of the notifications' table or collection; the others' begin with it, and so
            do the keys in Redis.
    """

    type: str | None = None
    connection_string: str | None = None
    path: str | None = None
    table: str = "notifications"

    def __post_init__(self) -> None:
        """Refuse names that are no SQL identifier."""
        if _TABLE.fullmatch(self.table) is None:
            raise ConfigurationError(
                f"table must be letters, digits and underscores, not {self.table!r}"
            )

    def url(self) -> str:
        """Return the URL of the registry that the section means.

        Raises:
            ConfigurationError: A part that the type needs is missing, or two parts disagree.
        """
        kind = _SCHEMES.get(self.type or "", self.type)
        if self.path is not None:
            if kind not in {None, "sqlite"} or self.connection_string is not None:
                raise ConfigurationError("storage 'path' goes with type 'sqlite' and no URL")
            return f"sqlite:///{self.path}"
        url = self.connection_string
        if url is None:
            if kind not in {None, "memory"}:
                raise ConfigurationError(f"storage type {self.type!r} needs 'connection_string'")
            return "memory://"
        scheme = scheme_of(url).partition("+")[0]
        if kind is not None and _SCHEMES.get(scheme, scheme) != kind:
            raise ConfigurationError(f"storage type {self.type!r} does not fit {redact(url)!r}")
        return url


class RetentionSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long notifications are kept, in seconds; None keeps them.

    Attributes:
        read: After they were read or archived.
        unread: After they were made.
    """

    read: Positive | None = 30 * 86_400.0
    unread: Positive | None = 90 * 86_400.0
