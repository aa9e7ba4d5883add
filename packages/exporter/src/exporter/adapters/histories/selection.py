"""What filters ask of a record."""

from ...models import ExportFilters
from ...ports import JobRecord


def matches(record: JobRecord, filters: ExportFilters) -> bool:
    """Whether ``record`` is one of those that ``filters`` ask for."""
    after, before = filters.created_after, filters.created_before
    return (
        filters.user_id in {None, record.user_id}
        and filters.status in {None, record.status}
        and filters.format in {None, record.format}
        and filters.source_type in {None, record.source_type}
        and (after is None or record.created_at >= after.timestamp())
        and (before is None or record.created_at < before.timestamp())
    )
