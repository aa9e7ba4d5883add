"""Bad notifications are refused before any I/O, by names of fields alone."""

from datetime import UTC, datetime
from typing import Any

import pytest

from notify import (
    Attachment,
    InvalidNotification,
    Notification,
    NotificationService,
    NotificationStore,
)
from notify.adapters.memory import MemoryStore
from notify.validation import check, check_url


class Untouchable(MemoryStore):
    """Fails the test at any I/O."""

    async def get_preferences(self, user_id):
        raise AssertionError("I/O before validation")

    async def add(self, entries, session=None):
        raise AssertionError("I/O before validation")


NOW = datetime(2026, 1, 1, tzinfo=UTC)
BAD = {
    "id": ["", "x" * 201, "a\nb", 7],
    "user_id": ["", "a\0b", None, "x" * 201],
    "title": [
        "", "   ", "a\r\nBcc: x", "a\nb", "a\rb", "a\0b", "a\u2028b", "a\u2029b", "a\x85b",
        "a\x1bb",
        "\ud800", "t" * 201, None, 5, "=?utf-8?q?=0D=0AX:_1?=",
    ],
    "message": ["m" * 10_001, "a\0b", "\udfff", None, 5],
    "category": ["", "c" * 101, "a\nb"],
    "action_label": ["", "a\nb", "l" * 101],
    "idempotency_key": ["", "a\nb", 5],
    "type": ["fatal", None, "", ["info"]],
    "priority": ["urgent", None, ["normal"]],
    "action_url": [
        "javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)",
        "java\tscript:alert(1)",
        "data:text/html,x", "vbscript:x", "//evil.example", "\\\\evil.example", "/\\evil.example",
        "https:///path", "http://", "https://user@evil.example", "https://a b", "ftp://x",
        "mailto:a@b",
        "relative", "", "/a\nb", "https://x/\u2028", "h" * 2001, 'https://x/"', "https://[bad", 7,
        "file:///etc/passwd", "x://y",
    ],
    "metadata": [
        {"a": object()}, {"a": "x" * 70_000}, [1], {"a": {1, 2}.__iter__()},
        {"a": float("nan")}, {"a": [None, {"b": (1.5, float("-inf"))}]},
    ],
    "context": [{"a": object()}, "text", {"a": {float("inf")}}],
    "read": ["yes", 1, None],
    "archived": ["no", 0],
    "channels": [[], "email", ["pigeon"], ["email", ""], ["e\nmail"], 5, [["email"]]],
    "locale": ["d", "de_", "../x", "de\n", 5],
    "template": ["../secret", "/etc/passwd", "a\0b", "", "a/../b", "x" * 500, ".hidden"],
    "timestamp": [datetime(2026, 1, 1), None, "now", datetime.min.replace(tzinfo=UTC)],
    # a float makes the year 10000 of it: it would be stored and could not be read
    "expires_at": [datetime(2026, 1, 1), 5, datetime.max.replace(tzinfo=UTC)],
    "send_at": ["later", datetime.max.replace(tzinfo=UTC)],
    "attachments": [
        None, 5, "x", [Attachment("a", b"", 5)],
        ["x"], [Attachment("../x", b"")], [Attachment("a\r\nb", b"")], [Attachment("", b"")],
        [Attachment("..", b"")], [Attachment("a", b"", "text")],
        [Attachment("a", b"", "a/b\r\nX: 1")],
        [Attachment("a", "text")], [Attachment("a", b"")] * 21,
        [Attachment("a", b"x" * (11 << 20))],
        [Attachment("a\0.txt", b"")], [Attachment('a"b', b"")],
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"), [(name, v) for name, many in BAD.items() for v in many]
)
async def test_refused_before_any_io(field, value) -> None:
    values = {"title": "t", "user_id": "ann", field: value}
    store: NotificationStore = Untouchable()
    async with NotificationService(store=store) as service:
        with pytest.raises(InvalidNotification) as caught:
            await service.send(Notification(**values))
    text = str(caught.value)
    assert field.removesuffix("s") in text
    if (
        field in {"title", "message", "action_url", "idempotency_key"}
        and value
        and len(str(value)) > 3
    ):
        assert str(value) not in text


async def test_what_is_no_notification_is_refused() -> None:
    async with NotificationService(store=Untouchable()) as service:
        for bad in (None, {"title": "t"}, "text"):
            with pytest.raises(InvalidNotification):
                await service.send(bad)


async def test_expiry_before_sending_is_refused() -> None:
    async with NotificationService(store=Untouchable()) as service:
        with pytest.raises(InvalidNotification, match="later"):
            await service.send(Notification(title="t", user_id="a", send_at=NOW, expires_at=NOW))


@pytest.mark.parametrize(
    "url",
    [
        "/",
        "/a?b=c#d",
        "?a=b",
        "#top",
        "https://example.com",
        "http://[::1]:8000/x",
        "https://exämple.de/ä",
    ],
)
def test_good_links(url) -> None:
    check_url(url)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"title": "x" * 201}, "title must be a text of 1 to 200 characters, not of 201"),
        ({"title": ""}, "title must be a text of 1 to 200 characters, not of 0"),
        ({"user_id": 5}, "user_id must be a text of 1 to 200 characters, not int"),
        ({"message": None}, "message must be a text of at most 10000 characters, not NoneType"),
        ({"type": "fatal"}, "type must be one of info, success, warning, error, not 'fatal'"),
        ({"priority": "high"}, "priority must be 'normal' or 'critical', not 'high'"),
    ],
)
def test_what_was_wrong_is_said(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidNotification) as caught:
        check(Notification(**{"title": "t", "user_id": "ann", **fields}), {"in-app"})
    assert str(caught.value) == said


async def test_none_is_no_number_that_json_cannot_hold() -> None:
    async with NotificationService.from_url("memory://") as service:
        made = await service.send(
            Notification(title="t", user_id="ann", metadata={"a": None, "b": [1.5, None]})
        )
        assert (await service.get(made.id)).metadata == {"a": None, "b": [1.5, None]}
