"""Between what users hand in, what histories store and what users see."""

from .attached import checked_metadata
from .requests import (
    check_same,
    check_template,
    checked_filters,
    checked_item,
    checked_name,
    checked_options,
    checked_seconds,
    checked_source,
    checked_ttl,
    filename_of,
    fingerprint_of,
    options_of,
    storable,
)
from .views import second, to_job

__all__ = [
    "check_same",
    "check_template",
    "checked_filters",
    "checked_item",
    "checked_metadata",
    "checked_name",
    "checked_options",
    "checked_seconds",
    "checked_source",
    "checked_ttl",
    "filename_of",
    "fingerprint_of",
    "options_of",
    "second",
    "storable",
    "to_job",
]
