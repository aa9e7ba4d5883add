"""Filters in Python, for stores whose servers do not filter."""

from ..models import DeliveryFilters, NotificationFilters
from ..stored import DeliveryRecord, NotificationRecord

_TESTS = ("channel", "user_id", "notification_id", "status")


def matches(record: NotificationRecord, filters: NotificationFilters) -> bool:
    """Whether ``filters`` let a notification of the inbox through."""
    since, before = filters.since, filters.before
    return (
        (not filters.unread_only or record.read_at is None)
        and filters.type in {None, record.type}
        and filters.category in {None, record.category}
        and (since is None or record.created_at >= since.timestamp())
        and (before is None or record.created_at < before.timestamp())
        and filters.archived in {None, record.archived_at is not None}
    )


def wanted(delivery: DeliveryRecord, filters: DeliveryFilters) -> bool:
    """Whether ``filters`` let a delivery through."""
    return all(getattr(filters, name) in {None, getattr(delivery, name)} for name in _TESTS)
