"""Limits per user and provider, the suppression list, topics."""

import asyncio

import pytest

from notify import (
    ChannelError,
    ConfigurationError,
    DeliveryFilters,
    InvalidNotification,
    Notification,
    RateLimit,
    Recipient,
)
from notify.delivery.limits import Limits
from notify.settings import LimitSettings, Settings
from notify.testing import Outbox

BAD = ChannelError("550 5.1.1", invalid_recipient=True)


def note(user_id: str = "ann", **more) -> Notification:
    return Notification(**{"title": "t", "user_id": user_id, "channels": ["email"], **more})


async def reasons(outbox: Outbox) -> list[tuple[str, str | None]]:
    rows = await outbox.service.list_deliveries(limit=500)
    return [(str(each.status), each.reason) for each in rows]


async def test_a_user_gets_no_more_than_the_limit() -> None:
    outbox = Outbox(rates={"users": {"email": {"limit": 2, "window": 60}}})
    async with outbox.service:
        for _ in range(5):
            await outbox.service.send(note())
        await outbox.service.send(note("bob"))
        await outbox.service.send(note(priority="critical"))
        await outbox.deliver()
        assert len(outbox.sent_to("ann")) == 3, "two, and the critical one"
        assert len(outbox.sent_to("bob")) == 1
        assert [r for r in await reasons(outbox) if r[0] == "pending"] == [
            ("pending", "rate_limit_user")
        ] * 3
        rows = await outbox.service.list_deliveries(DeliveryFilters(status="pending"))
        assert {each.attempts for each in rows} == {0}, "to wait is no attempt"
        await outbox.deliver(60)
        assert len(outbox.sent_to("ann")) == 5
        await outbox.deliver(60)
        assert len(outbox.sent_to("ann")) == 6


async def test_a_retry_is_counted_once() -> None:
    outbox = Outbox(rates={"users": {"email": {"limit": 1, "window": 1000}}})
    outbox.channels["email"].script += [ChannelError("503", retryable=True)] * 2
    async with outbox.service:
        await outbox.service.send(note())
        for _ in range(3):
            await outbox.deliver(30)
        assert len(outbox.sent_to("ann")) == 1


async def test_a_provider_that_is_spared_uses_up_nothing_of_a_users() -> None:
    """A message that nobody was asked to take is counted for its user once, however often."""
    outbox = Outbox(
        rates={"users": {"email": {"limit": 2, "window": 10_000}}},
        delivery={"breaker_failures": 1, "breaker_pause": 60},
    )
    outbox.channels["email"].script.append(ChannelError("503", retryable=True))
    async with outbox.service:
        await outbox.service.send(note("bob"))
        await outbox.deliver()
        await outbox.service.send(note())
        for _ in range(5):
            assert await outbox.deliver(5) == [], "the circuit is open"
        assert len(await outbox.deliver(100)) == 2
        await outbox.service.send(note())
        assert len(await outbox.deliver(1)) == 1, "the second of two"
        await outbox.service.send(note())
        assert await outbox.deliver(1) == []


async def test_the_stricter_limit_holds() -> None:
    """Neither do users raise what the operator allows, nor the operator what they want."""
    outbox = Outbox(
        rates={"users": {name: {"limit": 2, "window": 3600} for name in ("email", "push")}},
        preferences={"default": {"limits": {"sms": {"limit": 1, "window": 3600}}}},
    )
    async with outbox.service:
        limits = {"email": RateLimit(1_000_000, 1), "push": RateLimit(1, 7200)}
        await outbox.service.set_preferences("ann", {"limits": limits})
        for _ in range(4):
            await outbox.service.send(note(channels=["email", "push", "sms"]))
            await outbox.service.send(note("bob", channels=["sms"]))
        await outbox.deliver()
        counts = {name: len(outbox.sent_to("ann", name)) for name in outbox.channels}
        assert counts == {"email": 2, "push": 1, "sms": 1}
        assert len(outbox.sent_to("bob", "sms")) == 1


async def test_users_limit_themselves() -> None:
    outbox = Outbox()
    async with outbox.service:
        prefs = {"limits": {"email": {"limit": 1, "window": 3600}}}
        await outbox.service.set_preferences("ann", prefs)
        for _ in range(2):
            await outbox.service.send(note())
        assert len(await outbox.deliver()) == 1
        kept = await outbox.service.get_preferences("ann")
        assert kept.limits == {"email": RateLimit(1, 3600)}


async def test_a_provider_gets_no_more_than_the_limit() -> None:
    outbox = Outbox(
        rates={"providers": {"fake": {"limit": 2, "window": 10}}}, delivery={"concurrency": 1}
    )
    async with outbox.service:
        for n in range(5):
            await outbox.service.send(note(f"u{n}"))
        assert len(await outbox.deliver()) == 2
        assert ("pending", "rate_limit_provider") in await reasons(outbox)
        assert len(await outbox.deliver(5)) == 1
        assert len(await outbox.deliver(20)) == 2


def test_the_bucket_fills_evenly() -> None:
    limits = Limits({"p": LimitSettings(limit=2, window=10.0)})
    assert [limits.wait("p", 0.0) for _ in range(3)] == [0.0, 0.0, 5.0]
    assert limits.wait("p", 5.0) == 0.0
    assert limits.wait("p", 1000.0) == 0.0
    assert limits.wait("p", 1000.0) == 0.0
    assert limits.wait("p", 1000.0) == 5.0
    assert limits.wait("other", 0.0) == 0.0


async def test_a_refused_address_gets_nothing_more(outbox) -> None:
    outbox.channels["email"].script.append(BAD)
    sent = await outbox.service.send(note())
    await outbox.deliver()
    assert (await outbox.service.deliveries(sent.id))[0].status == "invalid"
    await outbox.service.send(note(priority="critical"))
    assert await outbox.deliver() == []
    assert ("suppressed", "suppressed: refused: 550 5.1.1") in await reasons(outbox)
    address = "ann@email.example.com"
    assert await outbox.service.suppression("email", address.upper()) == "refused: 550 5.1.1"
    assert await outbox.service.unsuppress("email", address)
    assert not await outbox.service.unsuppress("email", address)
    assert await outbox.service.replay(sent.id) == 1
    assert len(await outbox.deliver()) == 1


async def test_the_list_by_hand(outbox) -> None:
    assert await outbox.service.suppress("email", "ann@email.example.com", "asked by letter")
    assert not await outbox.service.suppress("email", "ann@email.example.com")
    await outbox.service.send(note())
    assert await outbox.deliver() == []
    for wrong in ("", " ", None, 5):
        with pytest.raises(ConfigurationError):
            await outbox.service.suppress("email", wrong)


async def test_the_directory_hears_of_it(outbox) -> None:
    outbox.directory.set("ann", "push", Recipient("old-device"))
    outbox.channels["push"].script.append(BAD)
    await outbox.service.send(note(channels=["push"]))
    await outbox.deliver()
    found = await outbox.directory.lookup("ann", "push")
    assert found.address != "old-device"


async def test_topics(outbox) -> None:
    service = outbox.service
    assert await service.subscribe_topic("t", "ann")
    assert not await service.subscribe_topic("t", "ann")
    await asyncio.gather(*(service.subscribe_topic("t", f"u{n}") for n in range(700)))
    assert await service.send_to_topic("t", note("ignored", idempotency_key="k")) == 701
    assert await service.send_to_topic("t", note("ignored", idempotency_key="k")) == 701
    assert (await service.get_stats()).notifications == 701, "nobody twice"
    assert await service.get_topics("ann") == ["t"]
    assert await service.unsubscribe_topic("t", "ann")
    assert not await service.unsubscribe_topic("t", "ann")
    assert await service.send_to_topic("empty", note()) == 0
    for wrong in ("", "a\nb", "x" * 201):
        with pytest.raises(InvalidNotification):
            await service.subscribe_topic(wrong, "ann")
    with pytest.raises(InvalidNotification):
        await service.send_to_topic("t", "hello")
    with pytest.raises(InvalidNotification):
        await service.send_to_topic("t", note(message="\0"))


def test_settings_name_what_is_wrong() -> None:
    for wrong, path in (
        ({"rates": {"users": {"email": {"limit": 0}}}}, "rates"),
        ({"unsubscribe": {"url": "https://x.example"}}, "signing_keys"),
        ({"unsubscribe": {"signing_keys": ["k" * 32]}}, "url"),
        ({"unsubscribe": {"url": "nope", "signing_keys": ["k" * 32]}}, "https"),
        ({"unsubscribe": {"url": "https://x.example", "signing_keys": ["short"]}}, "signing_keys"),
    ):
        with pytest.raises(ConfigurationError, match=path):
            Settings.from_mapping(wrong)
