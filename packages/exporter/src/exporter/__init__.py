"""Export documents and records to text, data, subtitle, Word and PDF files."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._default import export_service, export_to
    from .documents import Citation, Document, Row, Section, Segment, Table, Word
    from .errors import (
        BackendError,
        ConfigurationError,
        ExportCancelled,
        ExportError,
        ExportExpired,
        ExportNotFound,
        ExportTooLarge,
        InvalidLink,
        InvalidSource,
        MissingExtraError,
        StorageError,
        TemplateError,
        UnknownFormat,
        UnsupportedOperationError,
    )
    from .models import (
        ExportFilters,
        ExportFormat,
        ExportJob,
        ExportOptions,
        ExportResult,
        ExportSource,
        ExportStats,
        ExportStatus,
        Page,
    )
    from .ports import (
        Executor,
        ExportFormatDefinition,
        HistoryCapabilities,
        HistoryStore,
        Renderer,
        Storage,
        StorageCapabilities,
        TemplateEngine,
        Writer,
    )
    from .readers import read_document
    from .service import ExportService
    from .settings import Settings

__all__ = [
    "BackendError",
    "Citation",
    "ConfigurationError",
    "Document",
    "Executor",
    "ExportCancelled",
    "ExportError",
    "ExportExpired",
    "ExportFilters",
    "ExportFormat",
    "ExportFormatDefinition",
    "ExportJob",
    "ExportNotFound",
    "ExportOptions",
    "ExportResult",
    "ExportService",
    "ExportSource",
    "ExportStats",
    "ExportStatus",
    "ExportTooLarge",
    "HistoryCapabilities",
    "HistoryStore",
    "InvalidLink",
    "InvalidSource",
    "MissingExtraError",
    "Page",
    "Renderer",
    "Row",
    "Section",
    "Segment",
    "Settings",
    "Storage",
    "StorageCapabilities",
    "StorageError",
    "Table",
    "TemplateEngine",
    "TemplateError",
    "UnknownFormat",
    "UnsupportedOperationError",
    "Word",
    "Writer",
    "export_service",
    "export_to",
    "read_document",
]

if not TYPE_CHECKING:
    from ._common.lazy import exports

    __getattr__, __dir__ = exports(
        __name__,
        __all__,
        (
            "errors",
            "models",
            "documents",
            "ports",
            "readers",
            "settings",
            "service",
            "_default",
            "sync",
        ),
    )
