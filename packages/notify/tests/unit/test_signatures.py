"""Our classes take what the users' specification says, in its order."""

import dataclasses
import inspect

import pytest

from notify import Notification, NotificationChannel, NotificationService, NotificationType, sync

SPECIFIED = {
    "send": ["notification"],
    "send_bulk": ["notifications"],
    "mark_as_read": ["notification_id", "user_id"],
    "get_user_notifications": ["user_id", "unread_only", "limit"],
}
FIELDS = [
    "id", "type", "title", "message", "user_id", "category", "action_url", "action_label",
    "metadata", "channels",
]  # fmt: skip


@pytest.mark.parametrize("method", SPECIFIED)
def test_parameters(method: str) -> None:
    ours = list(inspect.signature(getattr(NotificationService, method)).parameters)[1:]
    assert ours[: len(SPECIFIED[method])] == SPECIFIED[method]


def test_defaults() -> None:
    parameters = inspect.signature(NotificationService.get_user_notifications).parameters
    assert parameters["unread_only"].default is False
    assert parameters["limit"].default == 50


def test_notification_fields() -> None:
    assert [field.name for field in dataclasses.fields(Notification)][: len(FIELDS)] == FIELDS


def test_enums() -> None:
    assert [str(each) for each in NotificationType] == ["info", "success", "warning", "error"]
    assert NotificationChannel.IN_APP == "in-app"
    assert [each.name for each in NotificationChannel] == ["IN_APP", "EMAIL", "PUSH", "SMS"]


def _public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_sync_has_the_same_methods() -> None:
    names = {name for name in dir(NotificationService) if not name.startswith("_")}
    inner = {"store", "settings", "settings_type", "durable_example", "read_changes"}
    blocking = sync.NotificationService(NotificationService())
    ours = {name for name in dir(blocking) if not name.startswith("_")}
    assert ours == names - inner - {"aclose"} | {"close", "asynchronous"}


@pytest.mark.parametrize(
    "method", sorted(_public(sync.NotificationService) - {"close", "from_url"})
)
def test_sync_signatures(method: str) -> None:
    ours = inspect.signature(getattr(sync.NotificationService, method)).parameters
    theirs = inspect.signature(getattr(NotificationService, method)).parameters
    assert [(p.name, p.kind, p.default) for p in ours.values()] == [
        (p.name, p.kind, p.default) for p in theirs.values()
    ]
