"""From what users hand in to documents and records, checked field by field."""

from .documents import to_document
from .flow import Flow

__all__ = ["Flow", "to_document"]
