"""Digests: many of a category in a window become one message."""

import pytest

from notify import (
    ChannelError,
    InvalidPreferences,
    Notification,
    NotificationPreferences,
    QuietHours,
)
from notify.testing import NOW, Outbox

HOUR = 3600.0
LEFT = HOUR - NOW % HOUR
CATEGORIES = {"preferences": {"categories": {"news": {"digest": HOUR}}}}
RETRY = ChannelError("503", retryable=True)


def note(title: str, user_id: str = "ann", **more) -> Notification:
    given = {"category": "news", "channels": ["in-app", "email"], **more}
    return Notification(title=title, user_id=user_id, **given)


@pytest.fixture
async def outbox():
    made = Outbox(**CATEGORIES)
    async with made.service:
        yield made


async def statuses(outbox: Outbox) -> list[str]:
    rows = await outbox.service.list_deliveries(limit=100)
    return [str(each.status) for each in rows if each.channel == "email"]


async def test_many_become_one_message(outbox) -> None:
    for n in range(3):
        await outbox.service.send(note(f"n{n}", message="<b>", action_url=f"https://x.example/{n}"))
    await outbox.service.send(note("his", user_id="bob"))
    assert await outbox.deliver(LEFT - 1) == []
    sent = await outbox.deliver(2)
    assert sorted(each.subject for each in sent) == ["3 new: news", "his"]
    [mine] = outbox.sent_to("ann")
    assert [mine.text.index(f"n{n}") for n in range(3)] == sorted(
        mine.text.index(f"n{n}") for n in range(3)
    )
    assert "https://x.example/2" in mine.text
    assert "&lt;b&gt;" in mine.html
    assert set(await statuses(outbox)) == {"delivered"}
    assert await outbox.deliver(10 * HOUR) == []


async def test_what_comes_during_the_flush_is_in_the_next(outbox) -> None:
    async def late(message) -> None:
        await outbox.service.send(note("late"))

    outbox.channels["email"].script.append(late)
    await outbox.service.send(note("first"))
    await outbox.service.send(note("second"))
    [first] = await outbox.deliver(LEFT)
    assert first.subject == "2 new: news"
    assert await statuses(outbox) == ["delivered", "delivered", "pending"]
    [second] = await outbox.deliver(HOUR)
    assert second.subject == "late"


async def test_a_digest_that_fails_is_tried_again_whole(outbox) -> None:
    outbox.channels["email"].script += [RETRY]
    for n in range(3):
        await outbox.service.send(note(f"n{n}"))
    await outbox.deliver(LEFT)
    assert await statuses(outbox) == ["pending"] * 3
    [sent] = await outbox.deliver(10)
    assert sent.subject == "3 new: news"
    assert outbox.channels["email"].calls[0].key == sent.key, "the same content, the same key"


async def test_each_of_a_digest_has_its_own_attempts(outbox) -> None:
    outbox.service.settings  # noqa: B018  in use from here on
    outbox.channels["email"].script += [RETRY] * 8
    await outbox.service.send(note("old"))
    for _ in range(7):
        await outbox.deliver(5000)
    await outbox.service.send(note("young"))
    await outbox.deliver(HOUR)
    assert sorted(await statuses(outbox)) == ["dead", "pending"]
    [sent] = await outbox.deliver(5000)
    assert sent.subject == "young"


async def test_read_ones_are_not_in_it(outbox) -> None:
    first = await outbox.service.send(note("first"))
    await outbox.service.send(note("second"))
    await outbox.service.mark_as_read(first.id, "ann")
    [sent] = await outbox.deliver(LEFT)
    assert sent.subject == "second"


async def test_expired_and_opted_out_ones_are_not_in_it(outbox) -> None:
    from datetime import UTC, datetime

    soon = datetime.fromtimestamp(NOW + 60, UTC)
    await outbox.service.send(note("stale", expires_at=soon))
    await outbox.service.send(note("fresh"))
    [sent] = await outbox.deliver(LEFT)
    assert sent.subject == "fresh"
    assert sorted(await statuses(outbox)) == ["delivered", "expired"]


async def test_critical_ones_never_wait(outbox) -> None:
    await outbox.service.send(note("now", priority="critical"))
    [sent] = await outbox.deliver()
    assert sent.subject == "now"


async def test_users_choose(outbox) -> None:
    service = outbox.service
    await service.set_preferences("ann", {"digests": {"news": 0}})
    await service.send(note("now"))
    assert [each.subject for each in await outbox.deliver()] == ["now"]
    await service.set_preferences("bob", {"digests": {"chat": 60}})
    for n in range(2):
        await service.send(note(f"c{n}", user_id="bob", category="chat"))
    assert [each.subject for each in await outbox.deliver(60)] == ["2 new: chat"]
    kept = await service.get_preferences("bob")
    assert kept.digests == {"chat": 60}


async def test_quiet_hours_hold_a_digest(outbox) -> None:
    # NOW is 15:06 UTC on a Sunday
    prefs = NotificationPreferences(quiet_hours=QuietHours("15:00", "18:30", "UTC"))
    await outbox.service.set_preferences("ann", prefs)
    for n in range(2):
        await outbox.service.send(note(f"n{n}"))
    assert await outbox.deliver(2 * HOUR) == []
    [sent] = await outbox.deliver(2 * HOUR)
    assert sent.subject == "2 new: news"


async def test_the_inbox_has_it_at_once(outbox) -> None:
    sent = await outbox.service.send(note("now"))
    assert sent.notification.seq == 1
    states = {each.channel: str(each.status) for each in sent.deliveries}
    assert states == {"in-app": "delivered", "email": "pending"}
    assert await outbox.service.unread_count("ann") == 1


async def test_a_template_of_ones_own(tmp_path) -> None:
    folder = tmp_path / "email"
    folder.mkdir()
    (folder / "digest.subject").write_text("{{ count }} things")
    (folder / "digest.txt").write_text("{% for each in items %}[{{ each.title }}]{% endfor %}")
    outbox = Outbox(**CATEGORIES, templates={"dir": str(tmp_path)})
    async with outbox.service:
        for n in range(2):
            await outbox.service.send(note(f"n{n}"))
        [sent] = await outbox.deliver(LEFT)
    assert (sent.subject, sent.text) == ("2 things", "[n0][n1]")


@pytest.mark.parametrize(
    "wrong",
    [
        {"digests": {"news": -1}}, {"digests": {"news": "x"}}, {"digests": [1]},
        {"digests": {"a\nb": 1}}, {"digests": {"news": True}}, {"digests": {"news": 1e12}},
        {"limits": {"email": {"limit": 0, "window": 1}}}, {"limits": {"email": 5}},
        {"limits": {"email": {"limit": 1.5, "window": 1}}}, {"limits": ["email"]},
        {"limits": {"pigeon": {"limit": 1, "window": 1}}},
        {"limits": {"email": {"limit": True, "window": 1}}},
    ],
)  # fmt: skip
async def test_wrong_wishes_are_refused(outbox, wrong) -> None:
    with pytest.raises(InvalidPreferences):
        await outbox.service.set_preferences("ann", wrong)
