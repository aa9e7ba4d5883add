"""Parts of exporter's pages that are made from its code.

An adapter that the registry knows and nobody describes here fails the build.
"""

from typing import Any

from docutils import nodes
from jobqueue_pages import AdaptersPage, Page, settings_of
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


class StoragesDirective(AdaptersPage):
    """Where files are kept."""

    def run(self) -> list[nodes.Node]:
        """Return their table."""
        from exporter.ports import StorageCapabilities
        from exporter.registry import STORAGES as PLUGINS

        return self.page(PLUGINS, STORAGES, StorageCapabilities)


class HistoriesDirective(AdaptersPage):
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
