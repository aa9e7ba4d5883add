"""Parts of exporter's pages that are made from its code.

An adapter that the registry knows and nobody describes here fails the build.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from docutils import nodes
from jobqueue_pages import Page, Row, attributes, settings_of
from sphinx.application import Sphinx

STORAGES = {
    "LocalStorage": "real folders; a full disk, failing and killed writes by strace",
    "MemoryStorage": "itself",
    "S3Storage": "moto's server; signatures computed again, as AWS documents them",
    "GCSStorage": "an emulator of Google's API; signatures computed again",
    "AzureStorage": "Azurite, where it is installed; signatures computed again",
}
HISTORIES = {
    "MemoryHistory": "itself",
    "SQLHistory": "real SQLite and PostgreSQL 18",
    "MySQLHistory": "real MariaDB 10.11",
}


def classes(plugins: Any, known: Mapping[str, Any]) -> dict[type[Any], list[str]]:
    """Return the adapters of a port with their names; one that is not described is an error."""
    found: dict[type[Any], list[str]] = {}
    for name in plugins.names():
        found.setdefault(plugins.load(name), []).append(name)
    if missing := {kind.__name__ for kind in found} ^ known.keys():
        raise LookupError(f"described, or registered, but not both: {sorted(missing)}")
    return found


class Adapters(Page):
    """What the adapters of a port can do, by their classes."""

    def page(self, plugins: Any, known: Mapping[str, str], described: Any) -> list[nodes.Node]:
        """Return the table and what its columns mean."""
        names = attributes(described)

        def rows() -> Iterator[Row]:
            for kind, schemes in classes(plugins, known).items():
                marks = ["yes" if getattr(kind.capabilities, name) else "-" for name in names]
                yield " ".join(f"`{each}`" for each in schemes), *marks, known[kind.__name__]

        head = ("scheme", *(f"`{name}`" for name in names), "tested with")
        legend = "\n".join(f"- `{name}`: {text}" for name, text in names.items())
        return [*self.table(head, rows()), *self.parse_text_to_nodes(legend)]


class StoragesDirective(Adapters):
    """Where files are kept."""

    def run(self) -> list[nodes.Node]:
        """Return their table."""
        from exporter.ports import StorageCapabilities
        from exporter.registry import STORAGES as PLUGINS

        return self.page(PLUGINS, STORAGES, StorageCapabilities)


class HistoriesDirective(Adapters):
    """Where the list of exports is kept."""

    def run(self) -> list[nodes.Node]:
        """Return their table."""
        from exporter.ports import HistoryCapabilities
        from exporter.registry import HISTORIES as PLUGINS

        return self.page(PLUGINS, HISTORIES, HistoryCapabilities)


class SettingsDirective(Page):
    """Every setting with its default, range and meaning."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        from exporter import Settings

        return self.table(("key", "default", "range", "meaning"), settings_of(Settings, ""))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("exporter-storages", StoragesDirective)
    app.add_directive("exporter-histories", HistoriesDirective)
    app.add_directive("exporter-settings", SettingsDirective)
    return {"version": "1", "parallel_read_safe": True}
