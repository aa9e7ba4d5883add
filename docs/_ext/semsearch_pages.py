"""Parts of semsearch's pages that are made from its code.

An adapter that the registry knows and nobody describes here fails the build.
"""

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from jobqueue_pages import Page, Row, attributes, settings_of
from sphinx.application import Sphinx

STAND_IN = (
    "a stand-in: a local server that answers as the published API does, and refuses as it does"
)
STORES = {
    "MemoryStore": ("yes", "itself"),
    "SQLiteStore": ("yes", "real SQLite"),
    "PgVectorStore": ("with `?index=none`", "real PostgreSQL 18 with pgvector"),
    "EdgeStore": ("below 10,000 documents, or with `?exact=on`", "the real engine"),
    "QdrantStore": (
        "with `?index=none`, and in the client's local modes",
        "the client's local modes; a stand-in over these; a server where `QDRANT_URL` names one",
    ),
    "ElasticsearchStore": (
        "with `?index=none`",
        f"{STAND_IN}; a server where `ELASTICSEARCH_URL` names one",
    ),
    "WeaviateStore": (
        "with `?index=none`",
        f"{STAND_IN}; a server where `WEAVIATE_URL` names one",
    ),
    "PineconeStore": ("no", f"{STAND_IN}; Pinecone itself where `PINECONE_API_KEY` is set"),
}
KEYWORDS = {
    "BM25Index": ("itself", "an index built anew, by properties"),
    "TantivyIndex": ("tantivy's BM25", "the real library"),
    "RankBM25Index": ("BM25+", "the real library"),
    "PostgresIndex": ("BM25, as the embedded one", "real PostgreSQL 18"),
    "ElasticsearchIndex": (
        "Lucene's BM25",
        f"{STAND_IN}; a server where `ELASTICSEARCH_URL` names one",
    ),
    "TypesenseIndex": (
        "BM25, as the embedded one, computed here",
        f"{STAND_IN}; a server where `TYPESENSE_URL` names one",
    ),
}


def classes(plugins: Any) -> dict[type[Any], list[str]]:
    """Return the adapters of a port with their schemes."""
    found: dict[type[Any], list[str]] = {}
    for name in plugins.names():
        found.setdefault(plugins.load(name), []).append(name)
    return found


def shown(value: Any) -> str:
    """Return a capability as a cell."""
    from semsearch.filters import OPERATORS

    if isinstance(value, frozenset):
        missing = ", ".join(f"`{each}`" for each in sorted(OPERATORS - value))
        return f"all but {missing}" if missing else "all"
    if isinstance(value, bool):
        return "yes" if value else "-"
    return "-" if value is None else f"{value:,}"


class Adapters(Page):
    """What each adapter of a port can do, by its class."""

    has_content = False

    def rows(
        self, plugins: Any, known: dict[str, tuple[str, str]], names: list[str]
    ) -> Iterator[Row]:
        """Yield the row of each class; one that is not described is an error."""
        found = classes(plugins)
        missing = {kind.__name__ for kind in found} ^ known.keys()
        if missing:
            raise LookupError(f"described, or registered, but not both: {sorted(missing)}")
        for kind, schemes in found.items():
            first, tested = known[kind.__name__]
            able = [shown(getattr(kind.capabilities, name)) for name in names]
            yield " ".join(f"`{scheme}`" for scheme in schemes), first, *able, tested

    def page(
        self, plugins: Any, known: Any, described: dict[str, str], first: str
    ) -> list[nodes.Node]:
        """Return the table and what its columns mean."""
        names = list(described)
        head = ("scheme", first, *(f"`{name}`" for name in names), "tested with")
        legend = "\n".join(f"- `{name}`: {text}" for name, text in described.items())
        made = self.table(head, self.rows(plugins, known, names))
        return [*made, *self.parse_text_to_nodes(legend)]


class StoresDirective(Adapters):
    """The vector stores."""

    def run(self) -> list[nodes.Node]:
        """Return their table."""
        from semsearch.ports import Capabilities
        from semsearch.registry import STORES as PLUGINS

        return self.page(PLUGINS, STORES, attributes(Capabilities), "exact")


class KeywordsDirective(Adapters):
    """The keyword indexes."""

    def run(self) -> list[nodes.Node]:
        """Return their table."""
        from semsearch.ports import KeywordCapabilities
        from semsearch.registry import KEYWORDS as PLUGINS

        return self.page(PLUGINS, KEYWORDS, attributes(KeywordCapabilities), "ranks by")


class SettingsDirective(Page):
    """Every setting with its default, range and meaning."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        from semsearch import Settings

        return self.table(("key", "default", "range", "meaning"), settings_of(Settings, ""))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("semsearch-stores", StoresDirective)
    app.add_directive("semsearch-keywords", KeywordsDirective)
    app.add_directive("semsearch-settings", SettingsDirective)
    return {"version": "1", "parallel_read_safe": True}
