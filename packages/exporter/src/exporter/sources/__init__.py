"""From what users hand in to documents and records, checked field by field."""

from .documents import checked_document, to_document
from .flow import Flow

__all__ = ["Flow", "checked_document", "to_document"]
