"""Digests at a time of day: in the user's zone, over changes of the clocks."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notify import DailyDigest, InvalidPreferences, Notification, NotificationPreferences
from notify.preferences import decode, encode
from notify.testing import Outbox

BERLIN = "Europe/Berlin"
ZONES = sorted(available_timezones())


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def note(title: str) -> Notification:
    return Notification(title=title, user_id="ann", category="news", channels=["email"])


@pytest.mark.parametrize(
    ("at", "zone", "now", "due"),
    [
        ("08:00", BERLIN, "2026-01-14T06:59Z", "2026-01-14T07:00Z"),
        ("08:00", BERLIN, "2026-01-14T07:00Z", "2026-01-15T07:00Z"),  # during the flush: the next
        ("08:00", BERLIN, "2026-03-28T07:30Z", "2026-03-29T06:00Z"),  # 23 hours later
        ("08:00", BERLIN, "2026-10-24T06:30Z", "2026-10-25T07:00Z"),  # 25 hours later
        ("02:30", BERLIN, "2026-03-28T12:00Z", "2026-03-29T01:00Z"),  # skipped: the jump
        ("02:30", BERLIN, "2026-10-25T00:00Z", "2026-10-25T00:30Z"),  # twice: the first
        ("02:30", BERLIN, "2026-10-25T00:30Z", "2026-10-26T01:30Z"),  # and only that
        ("08:00", "Pacific/Apia", "2011-12-29T20:00Z", "2011-12-30T18:00Z"),  # a day less
        ("00:00", "Africa/Cairo", "2026-04-23T12:00Z", "2026-04-23T22:00Z"),
        ("08:00", None, "2026-01-14T06:59Z", "2026-01-14T08:00Z"),
    ],
)
def test_the_next_one(at: str, zone: str | None, now: str, due: str) -> None:
    found = DailyDigest(at).next(seconds(now), zone)
    assert datetime.fromtimestamp(found, UTC) == datetime.fromisoformat(due)


def test_weekdays_and_a_zone_of_its_own() -> None:
    digest = DailyDigest("09:00", weekdays=["mon"], timezone="America/New_York")
    found = digest.next(seconds("2026-01-14T00:00Z"), BERLIN)
    assert datetime.fromtimestamp(found, UTC) == datetime(2026, 1, 19, 14, tzinfo=UTC)


@settings(suppress_health_check=[HealthCheck.too_slow])  # of the machine, not of the draws
@given(
    zone=st.sampled_from(ZONES),
    minute=st.integers(0, 1439),
    now=st.floats(0, 2_500_000_000),
    days=st.sets(st.integers(0, 6), min_size=1),
)
def test_it_is_later_soon_and_at_that_time(zone, minute, now, days) -> None:
    at = f"{minute // 60:02}:{minute % 60:02}"
    digest = DailyDigest(at, weekdays=sorted(days))
    due = digest.next(now, zone)
    assert now < due <= now + 15 * 86_400
    local = datetime.fromtimestamp(due, ZoneInfo(zone))
    if f"{local:%H:%M}" == at:
        assert local.weekday() in days
    else:  # that time was skipped: a moment before it was another offset
        before = datetime.fromtimestamp(due - 1, ZoneInfo(zone))
        assert before.utcoffset() != local.utcoffset()
    assert digest.next(due - 1e-3, zone) == due
    assert digest.next(due, zone) > due


async def test_every_morning_in_the_users_zone() -> None:
    outbox = Outbox()
    await outbox.clock.advance(seconds("2026-03-27T12:00Z") - outbox.clock.time())
    wishes = NotificationPreferences(timezone=BERLIN, digests={"news": "08:00"})
    await outbox.service.set_preferences("ann", wishes)
    await outbox.service.set_preferences("bob", {"timezone": "Asia/Tokyo"})

    async def morning(now: str) -> list[str]:
        sent = await outbox.deliver(seconds(now) - outbox.clock.time())
        return [each.subject for each in sent]

    await outbox.service.send(note("fri"))
    await outbox.service.send(note("fri 2"))
    assert await morning("2026-03-28T06:59Z") == []
    assert await morning("2026-03-28T07:00Z") == ["2 new: news"]
    await outbox.service.send(note("sat"))
    assert await morning("2026-03-29T05:59Z") == []
    assert await morning("2026-03-29T06:00Z") == ["sat"], "the clocks went forward at night"


async def test_quiet_hours_do_not_bring_it_forward() -> None:
    outbox = Outbox()
    await outbox.clock.advance(seconds("2026-01-14T23:00Z") - outbox.clock.time())
    quiet = {"start": "22:00", "end": "07:00"}
    await outbox.service.set_preferences(
        "ann", {"quiet_hours": quiet, "digests": {"news": "08:00"}}
    )
    sent = await outbox.service.send(note("late"))
    assert sent.deliveries[0].reason == "digest"
    assert await outbox.deliver(8 * 3600) == []
    assert len(await outbox.deliver(3600)) == 1


async def test_by_the_category_and_against_it() -> None:
    digest = {"at": "08:00", "weekdays": ["mon"], "timezone": BERLIN}
    outbox = Outbox(preferences={"categories": {"news": {"digest": digest}}})
    sent = await outbox.service.send(note("t"))
    due = sent.deliveries[0].due_at
    assert due is not None
    assert due.astimezone(ZoneInfo(BERLIN)).strftime("%a %H:%M") == "Mon 08:00"
    await outbox.service.set_preferences("ann", {"digests": {"news": 0}})
    assert (await outbox.service.send(note("t"))).deliveries[0].reason is None


def test_it_is_stored_and_read() -> None:
    wishes = NotificationPreferences(
        digests={"a": "08:00", "b": DailyDigest("09:00", ["mon", 4], BERLIN), "c": 600}
    )
    read = decode(encode(wishes))
    assert read is not None
    assert read.digests == {
        "a": {"at": "08:00"},
        "b": {"at": "09:00", "weekdays": ["mon", "fri"], "timezone": BERLIN},
        "c": 600,
    }


@pytest.mark.parametrize(
    "wrong",
    ["8", "24:00", {"at": "08:00", "day": 1}, {}, {"at": "08:00", "weekdays": []},
     {"at": "08:00", "timezone": "Mars/Base"}, -1, True, None, []],
)  # fmt: skip
def test_what_is_no_digest(wrong) -> None:
    with pytest.raises(InvalidPreferences):
        NotificationPreferences(digests={"news": wrong})
