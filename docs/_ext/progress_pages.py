"""Parts of progress-tracker's pages that are made from its code.

An adapter that the registry knows and nobody describes here fails the build.
"""

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from jobqueue_pages import Page, Row, attributes, settings_of
from sphinx.application import Sphinx

STORES = {
    "MemoryStore": ("one", "the suite"),
    "SQLStore": ("all of a machine", "SQLite"),
    "PostgresStore": ("any", "PostgreSQL 18"),
    "MySQLStore": ("any", "MariaDB 10.11"),
    "RedisStore": ("any", "Redis 6.2 and 7.0"),
    "MongoStore": ("any", "a stand-in (mongomock); a server only where `MONGODB_URL` names one"),
}
BACKPLANES = {
    "MemoryBackplane": "the process",
    "PollingBackplane": "every process that shares the store, by looking",
    "RedisBackplane": "every process of the server, by publish/subscribe",
    "PostgresBackplane": "every process of the database, by LISTEN/NOTIFY",
}


def classes(plugins: Any) -> dict[type[Any], list[str]]:
    """Return the adapters of a port with their schemes."""
    found: dict[type[Any], list[str]] = {}
    for name in plugins.names():
        found.setdefault(plugins.load(name), []).append(name)
    return found


def schemes(names: list[str]) -> str:
    """Return schemes as code."""
    return " ".join(f"`{each}`" for each in names)


def marks(kind: type[Any], names: list[str]) -> Iterator[str]:
    """Yield yes or no for each capability."""
    for name in names:
        yield "yes" if getattr(kind.capabilities, name) else "-"


class StoresDirective(Page):
    """What each store of the registry can do, by its class."""

    def run(self) -> list[nodes.Node]:
        """Return the table and what its columns mean."""
        from progress_tracker.ports import Capabilities
        from progress_tracker.registry import STORES as PLUGINS

        described = attributes(Capabilities)
        rows: list[Row] = [
            [schemes(names), *marks(kind, list(described)), *STORES[kind.__name__]]
            for kind, names in classes(PLUGINS).items()
        ]
        head = ("scheme", *(f"`{name}`" for name in described), "processes", "tested against")
        legend = "\n".join(f"- `{name}`: {text}" for name, text in described.items())
        return [*self.table(head, rows), *self.parse_text_to_nodes(legend)]


class BackplanesDirective(Page):
    """The backplanes of the registry."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        from progress_tracker.registry import BACKPLANES as PLUGINS

        rows: list[Row] = [
            [schemes(names), BACKPLANES[kind.__name__]] for kind, names in classes(PLUGINS).items()
        ]
        return self.table(("scheme", "tells"), rows)


class SettingsDirective(Page):
    """Every setting with its default, range and meaning."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        from progress_tracker import Settings

        return self.table(("key", "default", "range", "meaning"), settings_of(Settings, ""))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("progress-stores", StoresDirective)
    app.add_directive("progress-backplanes", BackplanesDirective)
    app.add_directive("progress-settings", SettingsDirective)
    return {"version": "1", "parallel_read_safe": True}
