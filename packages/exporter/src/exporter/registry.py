"""Formats by name, storages and histories by URL scheme; others add theirs by entry point."""

from typing import Any

from ._common.clock import Clock
from ._common.plugins import Plugins
from ._common.urls import query_of, scheme_of
from .ports import HistoryStore, Storage

_FORMATS = "exporter.adapters.formats"
FORMATS = Plugins(
    "format",
    "exporter.formats",
    {
        "csv": f"{_FORMATS}.tables:CsvRenderer",
        "docx": f"{_FORMATS}.docx:DocxRenderer",
        "html": f"{_FORMATS}.html:HtmlRenderer",
        "json": f"{_FORMATS}.data:JsonRenderer",
        "jsonl": f"{_FORMATS}.data:JsonLinesRenderer",
        "md": f"{_FORMATS}.markdown:MarkdownRenderer",
        "parquet": f"{_FORMATS}.parquet:ParquetRenderer",
        "pdf": f"{_FORMATS}.pdf:PdfRenderer",
        "srt": f"{_FORMATS}.subtitles:SrtRenderer",
        "tsv": f"{_FORMATS}.tables:TsvRenderer",
        "txt": f"{_FORMATS}.text:TextRenderer",
        "vtt": f"{_FORMATS}.subtitles:VttRenderer",
        "xlsx": f"{_FORMATS}.xlsx:XlsxRenderer",
    },
)
_ENGINES = "exporter.adapters.engines"
# by the extension of the templates
ENGINES = Plugins(
    "template engine",
    "exporter.engines",
    {
        "docx": f"{_ENGINES}.word:WordEngine",
        "html": f"{_ENGINES}.html:HtmlEngine",
        "typ": f"{_ENGINES}.typst:TypstEngine",
    },
)
STORAGES = Plugins(
    "storage",
    "exporter.storages",
    {
        "az": "exporter.adapters.storages.azure:AzureStorage",
        "file": "exporter.adapters.storages.local:LocalStorage",
        "gs": "exporter.adapters.storages.gcs:GCSStorage",
        "memory": "exporter.adapters.storages.memory:MemoryStorage",
        "s3": "exporter.adapters.storages.s3:S3Storage",
    },
)
HISTORIES = Plugins(
    "history",
    "exporter.histories",
    {
        "mariadb": "exporter.adapters.histories.mysql:MySQLHistory",
        "memory": "exporter.adapters.histories.memory:MemoryHistory",
        "mysql": "exporter.adapters.histories.mysql:MySQLHistory",
        "postgresql": "exporter.adapters.histories.sql:SQLHistory",
        "sqlite": "exporter.adapters.histories.sql:SQLHistory",
    },
)


def storage_from_url(url: str) -> Storage:
    """Construct the storage that ``url`` names; no I/O.

    Raises:
        ConfigurationError: The scheme or an option is unknown.
        MissingExtraError: The storage's library is not installed.
    """
    made: Storage = _made(STORAGES, url)
    return made


def history_from_url(url: str, *, clock: Clock) -> HistoryStore:
    """Construct the history that ``url`` names; no I/O.

    Raises:
        ConfigurationError: The scheme or an option is unknown.
        MissingExtraError: The history's library is not installed.
    """
    made: HistoryStore = _made(HISTORIES, url, clock=clock)
    return made


def _made(plugins: Plugins, url: str, **named: Any) -> Any:
    scheme = scheme_of(url)
    found = plugins.load(scheme)
    if hasattr(found, "from_url"):
        return plugins.call(scheme, found.from_url, url, **named)
    query_of(url, allowed=frozenset())
    return plugins.call(scheme, found, **named)
