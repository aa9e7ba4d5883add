"""A user with two phones: each gets it, is tried again and is dropped by itself."""

import pytest

from notify import ChannelError, MemoryDirectory, Notification, Recipient
from notify.records import MARK, marks_of, with_attempt
from notify.testing import NOW, Outbox

RETRY = ChannelError("503", retryable=True)
GONE = ChannelError("UNREGISTERED", retryable=False, invalid_recipient=True)
PHONES = ("phone", "tablet")


def note(title: str = "t", **more) -> Notification:
    return Notification(title=title, user_id="ann", channels=["push"], **more)


def of(*addresses: str, **settings) -> Outbox:
    outbox = Outbox(**settings)
    outbox.directory.set("ann", "push", list(addresses))
    return outbox


def where(messages) -> list[str]:
    return [each.recipient.address for each in messages]


async def test_each_gets_it_under_a_key_of_its_own() -> None:
    outbox = of(*PHONES)
    outbox.channels["push"].script += ["id1", "id2"]
    sent = await outbox.service.send(note())
    messages = await outbox.deliver()
    assert where(messages) == list(PHONES)
    assert len({each.key for each in messages}) == 2
    [delivery] = await outbox.service.deliveries(sent.id)
    assert (str(delivery.status), delivery.reason) == ("delivered", None)
    assert delivery.provider_id == "id1"
    assert [each.outcome for each in delivery.history] == ["delivered"] * 2
    assert not any(phone in str(delivery) for phone in PHONES), "no address is kept"


async def test_one_that_is_gone_is_dropped_alone() -> None:
    outbox = of(*PHONES)
    outbox.channels["push"].script += [GONE]
    sent = await outbox.service.send(note())
    assert where(await outbox.deliver()) == ["tablet"]
    [delivery] = await outbox.service.deliveries(sent.id)
    assert (str(delivery.status), delivery.reason) == ("delivered", "partly: UNREGISTERED")
    [why] = await outbox.service.explain(sent.id)
    assert why.summary == "push was taken by fake (partly: UNREGISTERED)"
    assert await outbox.directory.lookup_all("ann", "push") == (Recipient("tablet"),)
    assert await outbox.service.suppression("push", "phone") is not None
    assert await outbox.service.suppression("push", "tablet") is None
    await outbox.service.send(note("next"))
    assert where(await outbox.deliver()) == ["tablet"]


async def test_only_what_failed_is_tried_again() -> None:
    outbox = of(*PHONES, "watch")
    outbox.channels["push"].script += [None, RETRY, None]
    sent = await outbox.service.send(note())
    assert where(await outbox.deliver()) == ["phone", "watch"]
    [delivery] = await outbox.service.deliveries(sent.id)
    assert (str(delivery.status), delivery.reason) == ("pending", "retry: 503")
    assert where(await outbox.deliver(3600)) == ["tablet"]
    keys = [each.key for each in outbox.channels["push"].calls if where([each]) == ["tablet"]]
    assert len(keys) == 2
    assert len(set(keys)) == 1, "the provider knows it again"
    [delivery] = await outbox.service.deliveries(sent.id)
    assert (str(delivery.status), delivery.reason, delivery.attempts) == ("delivered", None, 2)


async def test_one_that_never_answers_ends_partly() -> None:
    outbox = of(*PHONES, delivery={"max_attempts": 2, "breaker_failures": 100})
    outbox.channels["push"].script += [None, RETRY, RETRY]
    sent = await outbox.service.send(note())
    assert where(await outbox.deliver()) == ["phone"]
    assert await outbox.deliver(3600) == []
    [delivery] = await outbox.service.deliveries(sent.id)
    assert (str(delivery.status), delivery.reason) == ("delivered", "partly: 503")
    assert delivery.provider == "fake"


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ([GONE, GONE], ("invalid", "UNREGISTERED")),
        ([GONE, ChannelError("400", retryable=False)], ("dead", "400")),
    ],
)
async def test_none_takes_it(script, status) -> None:
    outbox = of(*PHONES)
    outbox.channels["push"].script += script
    sent = await outbox.service.send(note())
    assert await outbox.deliver() == []
    [delivery] = await outbox.service.deliveries(sent.id)
    assert (str(delivery.status), delivery.reason) == status


async def test_suppressed_ones_are_passed_over() -> None:
    outbox = of(*PHONES)
    await outbox.service.suppress("push", "phone")
    await outbox.service.send(note())
    assert where(await outbox.deliver()) == ["tablet"]
    await outbox.service.suppress("push", "tablet")
    sent = await outbox.service.send(note())
    assert await outbox.deliver() == []
    [delivery] = await outbox.service.deliveries(sent.id)
    assert (str(delivery.status), delivery.reason) == ("suppressed", "suppressed: by hand")


async def test_a_digest_is_told_to_each_once() -> None:
    outbox = of(*PHONES, preferences={"default": {"digests": {"news": 600}}})
    outbox.channels["push"].script += [None, RETRY]
    for title in ("a", "b"):
        await outbox.service.send(note(title, category="news"))
    [first] = await outbox.deliver(600)
    assert (first.subject, where([first])) == ("2 new: news", ["phone"])
    [second] = await outbox.deliver(3600)
    assert (second.subject, where([second])) == ("2 new: news", ["tablet"])


async def test_a_limit_counts_messages_not_phones() -> None:
    outbox = of(*PHONES, rates={"users": {"push": {"limit": 1, "window": 60}}})
    await outbox.service.send(note())
    assert where(await outbox.deliver()) == list(PHONES)
    await outbox.service.send(note())
    assert await outbox.deliver() == []
    assert where(await outbox.deliver(60)) == list(PHONES)


async def test_a_directory_that_fails_keeps_nothing_from_the_others() -> None:
    outbox = of(*PHONES)

    async def invalid(*_: object) -> None:
        raise OSError("the user table is away")

    outbox.directory.invalid = invalid  # type: ignore[method-assign]  of this object alone
    outbox.channels["push"].script += [GONE]
    sent = await outbox.service.send(note())
    assert where(await outbox.deliver()) == ["tablet"]
    [delivery] = await outbox.service.deliveries(sent.id)
    assert delivery.reason == "retry: OSError was raised"
    assert await outbox.deliver(3600) == [], "suppressed by now, and the tablet has it"
    [delivery] = await outbox.service.deliveries(sent.id)
    assert str(delivery.status) == "delivered"


async def test_erasing_reaches_the_directory() -> None:
    outbox = of(*PHONES)
    outbox.directory.set("bob", "push", "bobs")
    await outbox.service.erase_user("ann")
    directory = MemoryDirectory.lookup_all
    assert "phone" not in str(
        [each.address for each in await directory(outbox.directory, "ann", "push")]
    )
    assert await directory(outbox.directory, "bob", "push") == (Recipient("bobs"),)


async def test_no_more_than_twenty(caplog: pytest.LogCaptureFixture) -> None:
    outbox = of(*(f"p{n}" for n in range(25)))
    sent = await outbox.service.send(note())
    assert where(await outbox.deliver()) == [f"p{n}" for n in range(20)]
    assert "delivery.too_many_addresses" in caplog.text
    [delivery] = await outbox.service.deliveries(sent.id)
    assert len(delivery.history) == 20


def test_a_long_history_keeps_who_has_it() -> None:
    text = with_attempt("[]", [(NOW, "delivered", "fcm", f"{MARK}a")])
    for n in range(50):
        text = with_attempt(text, [(NOW + n, "retry", "fcm", "503")])
    assert marks_of(text) == {f"{MARK}a"}
    assert text.count("retry") == 19


def test_addresses_in_memory_are_each_there_once() -> None:
    directory = MemoryDirectory({("ann", "push"): ["a", "b", "a"]})
    directory.add("ann", "push", "b")
    assert [each.address for each in directory._known["ann", "push"]] == ["a", "b"]
    directory.set("ann", "push", None)
    assert directory._known == {}


async def test_an_address_that_is_there_twice_gets_it_once(outbox) -> None:
    async def twice(*_: object) -> list[Recipient]:
        return [Recipient("phone", "Ann"), Recipient("phone", "Anna")]

    outbox.directory.lookup_all = twice  # type: ignore[method-assign]  of this object alone
    await outbox.service.send(note())
    assert where(await outbox.deliver()) == ["phone"]
