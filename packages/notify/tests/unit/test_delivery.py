"""The outbox: attempts, retries, holds, failover, circuits, replay, in virtual time."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from notify import (
    ChannelError,
    ConfigurationError,
    DeliveryFilters,
    MemoryDirectory,
    Notification,
    NotificationService,
    Recipient,
    RecipientDirectory,
)
from notify.testing import NOW, FakeChannel, FakeClock, Outbox

RETRY = ChannelError("503", retryable=True)


def note(title: str = "t", user_id: str = "ann", channels=("email",), **more) -> Notification:
    return Notification(title=title, user_id=user_id, channels=list(channels), **more)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOW + seconds, UTC)


async def states(outbox, notification_id: str) -> dict[str, tuple[str, str | None]]:
    rows = await outbox.service.deliveries(notification_id)
    return {each.channel: (str(each.status), each.reason) for each in rows}


async def test_what_was_sent_goes_out_once(outbox) -> None:
    sent = await outbox.service.send(note("Hello", message="there"))
    assert await states(outbox, sent.id) == {"email": ("pending", None)}
    [message] = await outbox.deliver()
    assert (message.subject, message.text) == ("Hello", "there\n")
    assert message.recipient.address == "ann@email.example.com"
    assert message.key == sent.deliveries[0].id
    assert await outbox.deliver(1e6) == []
    assert outbox.sent_to("ann") == [message]
    assert (await outbox.service.get_stats()).attempts == 1


async def test_retries_back_off_and_end_dead() -> None:
    outbox = Outbox(delivery={"breaker_failures": 100})
    channel = outbox.channels["email"]
    channel.script += [RETRY] * 8
    sent = await outbox.service.send(note())
    waits = []
    for _ in range(8):
        await outbox.deliver()
        [delivery] = await outbox.service.deliveries(sent.id)
        if delivery.due_at is not None:
            waits.append(delivery.due_at.timestamp() - outbox.clock.time())
            await outbox.clock.advance(waits[-1] + 0.001)
    assert all(0 <= wait <= min(3600, 5 * 2**n) for n, wait in enumerate(waits))
    assert (str(delivery.status), delivery.reason, delivery.attempts) == ("dead", "503", 8)
    assert [each.outcome for each in delivery.history] == ["retry"] * 8
    [why] = await outbox.service.explain(sent.id)
    assert "failed for good after 8 attempt(s): 503" in why.summary
    assert len(why.steps) == 8
    assert await outbox.service.replay(sent.id) == 1
    assert len(await outbox.deliver()) == 1
    [delivery] = await outbox.service.deliveries(sent.id)
    assert (str(delivery.status), delivery.attempts) == ("delivered", 1)


async def test_retry_after_is_honoured(outbox) -> None:
    outbox.channels["email"].script.append(ChannelError("429", retryable=True, retry_after=500))
    await outbox.service.send(note())
    await outbox.deliver()
    assert await outbox.deliver(499) == []
    assert len(await outbox.deliver(2)) == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ChannelError("550", invalid_recipient=True), "invalid"),
        (ChannelError("554"), "dead"),
    ],
)
async def test_what_is_refused_for_good_is_not_tried_again(outbox, error, status) -> None:
    outbox.channels["email"].script.append(error)
    sent = await outbox.service.send(note())
    await outbox.deliver()
    await outbox.deliver(1e5)
    assert (await states(outbox, sent.id))["email"] == (status, str(error))
    assert len(outbox.channels["email"].calls) == 1


async def test_a_channel_that_breaks_its_contract_is_tried_again(outbox, caplog) -> None:
    outbox.channels["email"].script.append(ValueError("secret@example.com"))
    sent = await outbox.service.send(note())
    await outbox.deliver()
    [delivery] = await outbox.service.deliveries(sent.id)
    assert delivery.reason == "retry: ValueError was raised"
    assert "secret" not in caplog.text + str(delivery)
    assert len(await outbox.deliver(10)) == 1


async def test_no_address_and_bad_addresses(outbox) -> None:
    class Nowhere(RecipientDirectory):
        async def lookup(self, user_id: str, channel: str) -> Recipient | None:
            if user_id == "angry":
                raise RuntimeError("the directory's own")
            return None if user_id == "ann" else Recipient("x@example.com\r\nBcc: all@example.com")

    await outbox.service.aclose()
    outbox.service.configure({"storage": {"type": "memory"}}, directory=Nowhere())
    found = {}
    for user in ("ann", "bob", "angry"):
        sent = await outbox.service.send(note(user_id=user))
        await outbox.deliver()
        found[user] = (await states(outbox, sent.id))["email"]
    assert found["ann"] == ("suppressed", "no_address")
    assert found["bob"] == ("invalid", "address holds a line break or control character")
    assert found["angry"] == ("pending", "retry: RuntimeError was raised")
    assert outbox.channels["email"].calls == []


async def test_send_at_and_expires_at(outbox) -> None:
    later = await outbox.service.send(note("later", channels=["in-app", "email"], send_at=at(100)))
    assert await states(outbox, later.id) == {
        "in-app": ("pending", "scheduled"), "email": ("pending", "scheduled"),
    }  # fmt: skip
    assert await outbox.deliver(99) == []
    assert await outbox.service.get_user_notifications("ann") == []
    assert len(await outbox.deliver(2)) == 1
    [shown] = await outbox.service.get_user_notifications("ann")
    assert (shown.title, shown.seq) == ("later", 1)
    outbox.channels["email"].script.append(RETRY)
    late = await outbox.service.send(note("late", expires_at=at(102)))
    await outbox.deliver()
    await outbox.deliver(3600)
    assert await states(outbox, late.id) == {"email": ("expired", "expired")}
    gone = await outbox.service.send(note("gone", channels=["in-app"], expires_at=at(1)))
    assert await states(outbox, gone.id) == {"in-app": ("expired", "expired")}
    assert await outbox.service.unread_count("ann") == 1


async def test_quiet_hours_defer_and_critical_passes(outbox) -> None:
    # NOW is 15:06:40 UTC
    await outbox.service.set_preferences("ann", {"quiet_hours": {"start": "15:00", "end": "16:00"}})
    held = await outbox.service.send(note("held", channels=["in-app", "email"]))
    urgent = await outbox.service.send(note("urgent", priority="critical"))
    [message] = await outbox.deliver()
    assert message.subject == "urgent"
    assert message.critical
    assert (await states(outbox, held.id))["email"] == ("pending", "quiet_hours")
    assert await outbox.service.unread_count("ann") == 1
    rows = await outbox.service.deliveries(held.id)
    assert rows[1].due_at == datetime(2025, 6, 15, 16, tzinfo=UTC)
    summary = (await outbox.service.explain(held.id))[1].summary
    assert "waits until 2025-06-15T16:00:00+00:00: the user's quiet hours" in summary
    assert await outbox.deliver(53 * 60) == []
    assert [each.subject for each in await outbox.deliver(60)] == ["held"]
    assert (await states(outbox, urgent.id))["email"][0] == "delivered"


async def test_quiet_hours_that_begin_while_it_waits(outbox) -> None:
    outbox.channels["email"].script.append(RETRY)
    sent = await outbox.service.send(note())
    await outbox.deliver()
    await outbox.service.set_preferences("ann", {"quiet_hours": {"start": "15:00", "end": "16:00"}})
    await outbox.deliver(60)
    [delivery] = await outbox.service.deliveries(sent.id)
    assert (delivery.reason, delivery.attempts) == ("quiet_hours", 1)
    assert len(await outbox.deliver(3600)) == 1


async def test_preferences_hold_for_what_is_queued(outbox) -> None:
    sent = await outbox.service.send(note(category="news", channels=["email", "sms"]))
    await outbox.service.set_preferences(
        "ann", {"channels": ["in-app", "email"], "categories": {"news": False}}
    )
    assert await outbox.deliver() == []
    assert await states(outbox, sent.id) == {
        "email": ("suppressed", "category_off"), "sms": ("suppressed", "channel_off"),
    }  # fmt: skip
    urgent = await outbox.service.send(
        note(category="news", channels=["email", "sms"], priority="critical")
    )
    await outbox.deliver()
    assert (await states(outbox, urgent.id))["email"][0] == "delivered"
    assert (await states(outbox, urgent.id))["sms"] == ("suppressed", "channel_off")
    await outbox.service.set_preferences("ann", {})
    assert await outbox.service.replay(sent.id) == 2
    assert len(await outbox.deliver()) == 2


async def test_read_in_the_app_cancels_the_mail() -> None:
    rules = {"categories": {"bills": {"cancel_on_read": False}}}
    outbox = Outbox(preferences=rules)
    async with outbox.service as service:
        await service.set_preferences("ann", {"quiet_hours": {"start": "15:00", "end": "16:00"}})
        chat = await service.send(note("chat", channels=["in-app", "email"], category="chat"))
        bill = await service.send(note("bill", channels=["in-app", "email"], category="bills"))
        other = await service.send(note("other", channels=["in-app", "email"]))
        await service.mark_as_read(chat.id, "ann")
        await service.mark_all_as_read("ann")
        assert (await states(outbox, chat.id))["email"] == ("cancelled", "read")
        assert (await states(outbox, other.id))["email"] == ("cancelled", "read")
        assert [each.subject for each in await outbox.deliver(3600)] == ["bill"]
        assert "read it in the app" in (await service.explain(chat.id))[1].summary
        assert (await states(outbox, bill.id))["email"][0] == "delivered"


async def test_failover_and_circuit() -> None:
    first, second = FakeChannel("email", provider="one"), FakeChannel("email", provider="two")
    first.script += [RETRY] * 3
    clock = FakeClock(NOW)
    directory = MemoryDirectory({("ann", "email"): "a@b.c"})
    async with NotificationService(
        channels=[first, second], directory=directory, clock=clock
    ) as service:
        service.configure(
            {"delivery": {"background": False, "breaker_failures": 3, "breaker_pause": 60}}
        )
        for n in range(5):
            sent = await service.send(note(str(n)))
            await service.deliver_due()
            [delivery] = await service.deliveries(sent.id)
            assert (str(delivery.status), delivery.provider) == ("delivered", "two")
        assert (len(first.calls), len(second.sent)) == (3, 5)
        assert [each.outcome for each in delivery.history] == ["skipped", "delivered"]
        await clock.advance(61)
        await service.send(note("again"))
        await service.deliver_due()
        assert [each.subject for each in first.sent] == ["again"]
        second.script += [RETRY] * 3
        first.script += [RETRY] * 3
        ids = [(await service.send(note("down"))).id for _ in range(3)]
        for _ in ids:
            await service.deliver_due()
        last = await service.send(note("spared"))
        calls = len(first.calls)
        await service.deliver_due()
        [delivery] = await service.deliveries(last.id)
        assert (delivery.reason, delivery.attempts) == ("circuit_open", 0)
        assert len(first.calls) == calls
        await clock.advance(61)
        await service.deliver_due()
        await clock.advance(61)
        await service.deliver_due()
        [delivery] = await service.deliveries(last.id)
        assert str(delivery.status) == "delivered"


@pytest.mark.parametrize(
    ("asked", "earliest", "called"),
    [
        ((500, None), 0, ["two", "two"]),  # the second may be tried again at once
        ((None, 500), 0, ["one"]),
        ((500, 100), 100, ["two", "two"]),
        ((100, 500), 100, ["one"]),
    ],
)
async def test_each_of_a_chain_is_left_alone_for_as_long_as_it_asked(
    asked, earliest, called
) -> None:
    chain = [FakeChannel("email", provider=each) for each in ("one", "two")]
    for channel, wait in zip(chain, asked, strict=True):
        channel.script.append(ChannelError("429", retryable=True, retry_after=wait))
    if called == ["two", "two"]:
        chain[1].script.append(ChannelError("503", retryable=True))
    clock, directory = FakeClock(NOW), MemoryDirectory({("ann", "email"): "a@b.c"})
    async with NotificationService(channels=chain, directory=directory, clock=clock) as service:
        service.configure({"delivery": {"background": False}})
        sent = await service.send(note())
        await service.deliver_due()
        assert [len(each.calls) for each in chain] == [1, 1]
        if earliest:
            await clock.advance(earliest - 1)
            await service.deliver_due()
            assert [len(each.calls) for each in chain] == [1, 1]
        for _ in range(4):
            await clock.advance(21)  # more than any pause between these attempts
            await service.deliver_due()
        [delivery] = await service.deliveries(sent.id)
        assert (str(delivery.status), delivery.provider) == ("delivered", called[-1])
        assert [len(each.calls) - 1 for each in chain] == [
            called.count(each.provider) for each in chain
        ]
        if "two" in called:
            steps = [each.detail for each in delivery.history if each.outcome == "skipped"]
            assert steps == ["it asked to wait"] * 2


async def test_listing_and_replaying_by_filter(outbox) -> None:
    outbox.channels["email"].script += [ChannelError("554")] * 3
    for user in ("ann", "ann", "bob"):
        await outbox.service.send(note(user_id=user))
    await outbox.deliver()
    service = outbox.service
    dead = DeliveryFilters(status="dead")
    page = await service.list_deliveries(dead, 2)
    rest = await service.list_deliveries(dead, 2, page.next_cursor)
    assert (len(page), len(rest), rest.next_cursor) == (2, 1, None)
    assert await service.replay(DeliveryFilters(status="dead", user_id="ann")) == 2
    assert len(await outbox.deliver()) == 2
    with pytest.raises(ConfigurationError):
        await service.replay(DeliveryFilters(status="delivered"))
    for bad in ({"limit": 0}, {"cursor": "x"}):
        with pytest.raises(ConfigurationError):
            await service.list_deliveries(**bad)


async def test_wait_shows_what_became_of_it(caplog) -> None:
    caplog.set_level(logging.DEBUG, "notify")
    channel = FakeChannel("email")
    directory = MemoryDirectory({("ann", "email"): "private@example.com"})
    async with NotificationService(channels=[channel], directory=directory) as service:
        service.configure("memory://")
        sent = await service.send(note("Private"), wait=timedelta(seconds=60))
        assert str(sent.deliveries[0].status) == "delivered"
    text = "\n".join(f"{each.getMessage()} {each.__dict__}" for each in caplog.records)
    assert "private@" not in text
    assert "Private" not in text


def test_a_recipient_shows_no_address_in_its_repr() -> None:
    assert "x@y" not in repr(Recipient("x@y.example", "Ann"))


@pytest.mark.parametrize("bad", [["x"], [FakeChannel("in-app")]])
async def test_bad_channels_are_refused(bad) -> None:
    with pytest.raises(ConfigurationError):
        await NotificationService.from_url("memory://", channels=bad).unread_count("ann")
