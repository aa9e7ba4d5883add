"""What the commands read: settings, and the input as a source."""

import argparse
import dataclasses
from pathlib import Path

from ..models import ExportSource
from ..readers import read_document
from ..service import ExportService
from ..settings import Settings


def service_of(config: str | None) -> ExportService:
    """Return a service by a file of settings, the environment, or the defaults."""
    settings = Settings.from_yaml(config) if config else Settings.discover() or Settings()
    return ExportService(settings)


def source_of(arguments: argparse.Namespace) -> ExportSource:
    """Return what the input file holds.

    Raises:
        StorageError: It cannot be read.
        InvalidSource: It is not what its format says.
    """
    document = read_document(arguments.input, arguments.source_format)
    if arguments.title is not None:
        document = dataclasses.replace(document, title=arguments.title)
    return ExportSource(document.kind, Path(arguments.input).stem[:500] or "input", document)
