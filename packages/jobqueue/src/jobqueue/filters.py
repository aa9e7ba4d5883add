"""What users may ask for in a listing."""

import dataclasses
from typing import Any

from ._common.clock import utc
from .checks import check_name, shown
from .drafting import due_time
from .errors import ConfigurationError
from .models import JobFilters, JobStatus
from .settings import Settings


def check_filters(filters: JobFilters | None, settings: Settings) -> JobFilters:
    """Return filters that every broker understands: known statuses, aware datetimes.

    Raises:
        ConfigurationError: They are no filters, or one of them is wrong.
    """
    if filters is None:
        return JobFilters()
    if not isinstance(filters, JobFilters):
        raise ConfigurationError(f"filters must be JobFilters, not {shown(filters)}")
    for name in ("name", "queue"):
        if (value := getattr(filters, name)) is not None:
            check_name(value, name)
    times: dict[str, Any] = {
        name: utc(due_time(value, settings))
        for name in ("created_after", "created_before")
        if (value := getattr(filters, name)) is not None
    }
    return dataclasses.replace(filters, status=check_statuses(filters), **times)


def check_statuses(filters: JobFilters) -> tuple[JobStatus, ...]:
    """Return the statuses that filters ask for.

    Raises:
        ConfigurationError: One is unknown.
    """
    try:
        return filters.statuses
    except (ValueError, TypeError) as exc:
        known = ", ".join(JobStatus)
        raise ConfigurationError(f"status must be of {known}, not {shown(filters.status)}") from exc
