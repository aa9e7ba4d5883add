"""The ports behind the service: formats, templates, storages, histories, executors."""

from collections.abc import Callable
from typing import Any

from .executors import Executor
from .formats import ByteSink, ExportFormatDefinition, RenderContext, Renderer, TemplateEngine
from .histories import FORMAT, HistoryCapabilities, HistoryStore, JobRecord
from .storages import Storage, StorageCapabilities, StoredFile, Writer

Loader = Callable[[str], Any]

__all__ = [
    "FORMAT",
    "ByteSink",
    "Executor",
    "ExportFormatDefinition",
    "HistoryCapabilities",
    "HistoryStore",
    "JobRecord",
    "Loader",
    "RenderContext",
    "Renderer",
    "Storage",
    "StorageCapabilities",
    "StoredFile",
    "TemplateEngine",
    "Writer",
]
