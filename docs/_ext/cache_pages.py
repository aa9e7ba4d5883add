"""Parts of tiered-cache's pages that are made from its code.

An adapter that the registry knows and nobody describes here fails the build.
"""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from jobqueue_pages import AdaptersPage, Page, Row, adapters, attributes, number, settings_of
from sphinx.application import Sphinx

MEASURED = Path(__file__).parents[1] / "tiered-cache" / "explanation" / "benchmarks"
RUN_IT = "uvx nox -s bench -- tiered-cache"
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


def named(names: list[str]) -> str:
    """Return names as code."""
    return " ".join(f"`{each}`" for each in names)


class RemotesDirective(AdaptersPage):
    """What each shared level can do, by its class."""

    def run(self) -> list[nodes.Node]:
        """Return the table and what its columns mean."""
        from tiered_cache.ports import Capabilities
        from tiered_cache.registry import REMOTES as PLUGINS

        # whether changes announce themselves depends on the backplane beside it
        names = [name for name in attributes(Capabilities) if name != "announces"]
        return self.page(PLUGINS, REMOTES, Capabilities, names)


class BackplanesDirective(Page):
    """How processes hear of changes."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        from tiered_cache.registry import BACKPLANES as PLUGINS

        rows = [
            [named(names), *BACKPLANES[kind.__name__]]
            for kind, names in adapters(PLUGINS, BACKPLANES).items()
        ]
        return self.table(("scheme, or `?backplane=`", "how", "what was missed"), rows)


class LocalsDirective(Page):
    """The policies of L1."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        from tiered_cache.registry import LOCALS as PLUGINS

        rows = [
            [named(names), *LOCALS[kind.__name__]]
            for kind, names in adapters(PLUGINS, LOCALS).items()
        ]
        return self.table(("`l1.policy`", "", "bounded by"), rows)


class SettingsDirective(Page):
    """Every setting with its default, range and meaning."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        from tiered_cache import Settings

        return self.table(("key", "default", "range", "meaning"), settings_of(Settings, ""))


class BenchmarksDirective(Page):
    """The tables of one recorded file of ``benchmarks/``."""

    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        """Return when and where it was measured, and the tables."""
        source = MEASURED / f"{self.arguments[0]}.json"
        self.env.note_dependency(str(source))
        if not source.exists():
            return self.parse_text_to_nodes(f"*Not measured yet:* `{RUN_IT}`")
        found = json.loads(source.read_text(encoding="utf-8"))
        machine = found["machine"]
        told = (
            f"Measured {found['measured_at']} UTC, {machine['cpus']} cores, Python "
            f"{machine['python']}, load {found['load'][0]:.1f} at the end."
        )
        made = self.parse_text_to_nodes(told)
        for table in found["tables"]:
            bar = f" The bar: {table['bar']}." if table["bar"] else ""
            made += self.parse_text_to_nodes(f"**{table['title']}**, {table['unit']}.{bar}")
            head = ("", "median", "from", "to", "to the first")
            made += self.table(head, measured(table["rows"]))
        return made


def measured(rows: Mapping[str, Sequence[float]]) -> Iterator[Row]:
    """Yield the line of each contender; the first is what the others are compared with."""
    floor = statistics.median(next(iter(rows.values())))
    for name, values in rows.items():
        middle = statistics.median(values)
        ratio = f"{middle / floor:.2f} x" if floor else "-"
        yield name, number(middle), number(min(values)), number(max(values)), ratio


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("cache-remotes", RemotesDirective)
    app.add_directive("cache-backplanes", BackplanesDirective)
    app.add_directive("cache-locals", LocalsDirective)
    app.add_directive("cache-settings", SettingsDirective)
    app.add_directive("cache-benchmarks", BenchmarksDirective)
    return {"version": "1", "parallel_read_safe": True}
