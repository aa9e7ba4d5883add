"""Parts of tiered-cache's pages that are made from its code.

An adapter that the registry knows and nobody describes here fails the build.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from docutils import nodes
from jobqueue_pages import Page, Row, attributes, settings_of
from sphinx.application import Sphinx

REMOTES = {
    "RedisTier": "real Redis 6.2, 7.0 and Valkey 9, by redis-py 5 to 8; also by TLS and Unix "
    "socket; a real Sentinel, and a fail-over",
    "RedisClusterTier": "three real nodes",
    "MemcachedTier": "a real server",
    "SQLiteTier": "real SQLite, several processes",
    "MemoryRemote": "itself; for tests",
}
BACKPLANES = {
    "RedisBackplane": ("publish/subscribe (the default)", "L1 starts anew"),
    "StreamsBackplane": ("messages that Redis keeps for a while", "they are read afterwards"),
    "TrackingBackplane": (
        "publish/subscribe, and Redis's own news of every changed value",
        "L1 starts anew",
    ),
    "PollingBackplane": ("a look at the file every 50 ms", "they are read afterwards"),
}
LOCALS = {
    "S3FifoTier": ("the best of our own on every trace that we replayed", "count and bytes"),
    "SieveTier": ("nearly as good, cheaper to store into; not for loops", "count and bytes"),
    "LruTier": ("least recently used", "count and bytes"),
    "TheineTier": ("W-TinyLFU of theine (extra `theine`)", "count"),
    "CachetoolsTier": ("LFU of cachetools (extra `cachetools`)", "count and bytes"),
    "CachetoolsLruTier": ("LRU of cachetools", "count and bytes"),
    "CachetoolsFifoTier": ("FIFO of cachetools", "count and bytes"),
    "CachetoolsRandomTier": ("random replacement of cachetools", "count and bytes"),
}


def classes(plugins: Any, known: Mapping[str, Any]) -> dict[type[Any], list[str]]:
    """Return the adapters of a port with their names; one that is not described is an error."""
    found: dict[type[Any], list[str]] = {}
    for name in plugins.names():
        found.setdefault(plugins.load(name), []).append(name)
    if missing := {kind.__name__ for kind in found} ^ known.keys():
        raise LookupError(f"described, or registered, but not both: {sorted(missing)}")
    return found


def named(names: list[str]) -> str:
    """Return names as code."""
    return " ".join(f"`{each}`" for each in names)


class RemotesDirective(Page):
    """What each shared level can do, by its class."""

    def run(self) -> list[nodes.Node]:
        """Return the table and what its columns mean."""
        from tiered_cache.ports import Capabilities
        from tiered_cache.registry import REMOTES as PLUGINS

        described = attributes(Capabilities)
        # whether changes announce themselves depends on the backplane beside it
        told = {name: text for name, text in described.items() if name != "announces"}

        def rows() -> Iterator[Row]:
            for kind, names in classes(PLUGINS, REMOTES).items():
                marks = ["yes" if getattr(kind.capabilities, name) else "-" for name in told]
                yield named(names), *marks, REMOTES[kind.__name__]

        head = ("scheme", *(f"`{name}`" for name in told), "tested with")
        legend = "\n".join(f"- `{name}`: {text}" for name, text in told.items())
        return [*self.table(head, rows()), *self.parse_text_to_nodes(legend)]


class BackplanesDirective(Page):
    """How processes hear of changes."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        from tiered_cache.registry import BACKPLANES as PLUGINS

        rows = [
            [named(names), *BACKPLANES[kind.__name__]]
            for kind, names in classes(PLUGINS, BACKPLANES).items()
        ]
        return self.table(("scheme, or `?backplane=`", "how", "what was missed"), rows)


class LocalsDirective(Page):
    """The policies of L1."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        from tiered_cache.registry import LOCALS as PLUGINS

        rows = [
            [named(names), *LOCALS[kind.__name__]]
            for kind, names in classes(PLUGINS, LOCALS).items()
        ]
        return self.table(("`l1.policy`", "", "bounded by"), rows)


class SettingsDirective(Page):
    """Every setting with its default, range and meaning."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        from tiered_cache import Settings

        return self.table(("key", "default", "range", "meaning"), settings_of(Settings, ""))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("cache-remotes", RemotesDirective)
    app.add_directive("cache-backplanes", BackplanesDirective)
    app.add_directive("cache-locals", LocalsDirective)
    app.add_directive("cache-settings", SettingsDirective)
    return {"version": "1", "parallel_read_safe": True}
