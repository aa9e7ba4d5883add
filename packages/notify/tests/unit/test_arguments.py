"""Nonsense from callers is an error of ours that says what was expected, on every store."""

from datetime import UTC, datetime, timedelta

import pytest

from notify import (
    ConfigurationError,
    DeliveryFilters,
    InvalidPreferences,
    Notification,
    NotificationFilters,
    NotificationNotFound,
    UnsupportedOperationError,
)

NO_TEXT = ["", "a\0b", "\ud800", "x" * 201, 5, ["x"]]
NAIVE = datetime(2026, 1, 1)


@pytest.mark.parametrize("bad", [*NO_TEXT, None])
async def test_users(service, bad) -> None:
    for name in (
        "get_user_notifications", "unread_count", "mark_all_as_read", "get_preferences",
        "erase_user",
    ):  # fmt: skip
        with pytest.raises(ConfigurationError, match="user_id"):
            await getattr(service, name)(bad)
    with pytest.raises(ConfigurationError, match="user_id"):
        await service.set_preferences(bad, {})
    with pytest.raises(ConfigurationError, match="user_id"):
        await anext(service.watch(bad, 0))
    with pytest.raises(ConfigurationError, match="user_id"):
        service.subscribe(bad, print)


@pytest.mark.parametrize("bad", NO_TEXT)
async def test_what_cannot_be_an_id_is_nobodys(service, bad) -> None:
    sent = await service.send(Notification(title="t", user_id="ann"))
    for call in (service.mark_as_read, service.archive, service.delete):
        with pytest.raises(NotificationNotFound):
            await call(bad, "ann")
        with pytest.raises(NotificationNotFound):
            await call(sent.id, bad)
    for call in (service.get, service.deliveries, service.explain):
        with pytest.raises(NotificationNotFound):
            await call(bad)
    with pytest.raises(ConfigurationError):
        await service.replay(bad)


@pytest.mark.parametrize("bad", ["x", -1, 10**30, 1.5, True, float("nan")])
async def test_places(service, bad) -> None:
    with pytest.raises(ConfigurationError, match="since"):
        await anext(service.watch("ann", bad))


@pytest.mark.parametrize("bad", ["x", -1, None, float("nan"), timedelta(-1)])
async def test_waits(service, bad) -> None:
    with pytest.raises(ConfigurationError, match="wait"):
        await service.send(Notification(title="t", user_id="ann"), wait=bad)
    assert await service.unread_count("ann") == 0  # nothing was stored


@pytest.mark.parametrize("bad", [5, b"1", "x", "\u0663", "9" * 19, "1:\ud800", "-1"])
async def test_cursors(service, bad) -> None:
    with pytest.raises(ConfigurationError, match="next_cursor"):
        await service.get_user_notifications("ann", cursor=bad)
    with pytest.raises(ConfigurationError, match="next_cursor"):
        await service.list_deliveries(cursor=bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"category": "x"},
        *(NotificationFilters(type=each) for each in NO_TEXT),
        *(NotificationFilters(category=each) for each in NO_TEXT),
        *(NotificationFilters(since=each) for each in (NAIVE, "now", 5)),
        *(NotificationFilters(before=each) for each in (NAIVE, "now", 5)),
    ],
)
async def test_inbox_filters(service, bad) -> None:
    with pytest.raises(ConfigurationError):
        await service.get_user_notifications("ann", filters=bad)


@pytest.mark.parametrize(
    "bad", [{"status": "dead"}, DeliveryFilters(status="gone"), DeliveryFilters(channel="\ud800")]
)
async def test_delivery_filters(service, bad) -> None:
    with pytest.raises(ConfigurationError):
        await service.list_deliveries(bad)
    with pytest.raises(ConfigurationError):
        await service.replay(bad)


@pytest.mark.parametrize("bad", ["no", 1, 0])
async def test_flags(service, bad) -> None:
    ask = service.get_user_notifications
    with pytest.raises(ConfigurationError, match="unread_only"):
        await ask("ann", bad)
    for wrong in (NotificationFilters(unread_only=bad), NotificationFilters(archived=bad)):
        with pytest.raises(ConfigurationError, match="True or False"):
            await ask("ann", filters=wrong)
    with pytest.raises(ConfigurationError, match="wait"):
        await service.send(Notification(title="t", user_id="ann"), wait=bool(bad))
    with pytest.raises((ConfigurationError, UnsupportedOperationError), match="session"):
        await service.send(Notification(title="t", user_id="ann"), session=bad)
    assert await service.unread_count("ann") == 0


async def test_whose_it_is(service) -> None:
    made = await service.send(Notification(title="t", user_id="ann"))
    for nobody in (["ann"], 5, ""):
        with pytest.raises(NotificationNotFound):
            await service.get(made.id, nobody)


async def test_replay_of_nothing_is_not_everything(service) -> None:
    with pytest.raises(ConfigurationError, match="replay"):
        await service.replay(None)


async def test_marking_all(service) -> None:
    assert await service.mark_all_as_read("ann", datetime.min.replace(tzinfo=UTC)) == 0
    for bad in (NAIVE, "now", 5):
        with pytest.raises(ConfigurationError, match="before"):
            await service.mark_all_as_read("ann", bad)
    with pytest.raises(ConfigurationError, match="category"):
        await service.mark_all_as_read("ann", category="\ud800")


async def test_a_callback_is_a_function(service) -> None:
    with pytest.raises(ConfigurationError, match="callback"):
        service.subscribe("ann", 5)


@pytest.mark.parametrize(
    "bad", [{"channels": 5}, {"channels": [["x"]]}, {"categories": {"\ud800": True}}]
)
async def test_preferences(service, bad) -> None:
    with pytest.raises(InvalidPreferences):
        await service.set_preferences("ann", bad)
