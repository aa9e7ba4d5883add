"""Quiet hours over every zone and the days around each change of its clocks."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import example, given, settings
from hypothesis import strategies as st

from notify import QuietHours
from notify.quiet import quiet_until
from notify.quiet.hours import DAYS, minutes

ZONES = sorted(available_timezones() - {"Factory", "localtime", "posixrules"})
SECOND = timedelta(seconds=1)
times = st.integers(0, 1439).map(lambda m: f"{m // 60:02}:{m % 60:02}")
weekdays = st.none() | st.sets(st.sampled_from(DAYS), min_size=1).map(sorted)


def changes(zone: ZoneInfo, year: int) -> list[datetime]:
    """Return the moments (to the hour) at which a zone's clocks change in a year."""
    start = datetime(year, 1, 1, tzinfo=UTC)

    def offset(day: int) -> timedelta | None:
        return (start + timedelta(days=day)).astimezone(zone).utcoffset()

    # no zone has changed twice within six days
    weeks = [first for first in range(0, 366, 6) if offset(first) != offset(first + 6)]
    days = [day for first in weeks for day in range(first, first + 6)]
    found = [start + timedelta(days=day) for day in days if offset(day) != offset(day + 1)]
    return found or [start]


@st.composite
def moments(draw):
    zone = draw(st.sampled_from(ZONES))
    year = draw(st.integers(1990, 2030))
    base = draw(st.sampled_from(changes(ZoneInfo(zone), year)))
    return zone, base + timedelta(seconds=draw(st.integers(-2 * 86_400, 3 * 86_400)))


@st.composite
def windows(draw):
    start = draw(times)
    end = draw(times.filter(lambda each: each != start))
    length = (minutes(end) - minutes(start)) % 1440
    if length > 1380:  # an hour must be left
        end = f"{(minutes(start) + 1380) % 1440 // 60:02}:{(minutes(start) + 1380) % 60:02}"
    return QuietHours(start, end, None, draw(weekdays))


@settings(max_examples=300)
@given(moments(), windows())
@example(("Pacific/Apia", datetime(2011, 12, 30, 5, tzinfo=UTC)), QuietHours("22:00", "07:00"))
@example(
    ("Antarctica/Troll", datetime(2026, 3, 29, 0, 30, tzinfo=UTC)), QuietHours("22:00", "02:00")
)
@example(("Europe/Berlin", datetime(2026, 10, 25, 0, 45, tzinfo=UTC)), QuietHours("22:00", "02:30"))
def test_the_end_is_the_end(moment, window) -> None:
    zone, now = moment
    end = quiet_until([window], now, zone)
    if end is None:
        return
    # later, by at most a window and what the clocks are put back
    length = timedelta(minutes=(minutes(window.end) - minutes(window.start)) % 1440)
    assert now < end <= now + length + timedelta(hours=25)
    # at the end it is over, and just before it was not
    assert quiet_until([window], end, zone) is None
    assert quiet_until([window], end - SECOND, zone) == end
    # asking again anywhere within gives the same answer
    middle = now + (end - now) / 2
    assert quiet_until([window], middle, zone) == end


@settings(max_examples=150)
@given(moments(), windows())
def test_on_ordinary_days_it_is_the_wall_clock(moment, window) -> None:
    zone, now = moment
    place = ZoneInfo(zone)
    days = [(now + timedelta(days=n)).astimezone(place).utcoffset() for n in (-2, -1, 0, 1, 2)]
    local = now.astimezone(place)
    if len(set(days)) > 1:
        return
    clock, first, last = local.hour * 60 + local.minute, minutes(window.start), minutes(window.end)
    yesterday = (local.weekday() - 1) % 7
    if first < last:
        quiet = local.weekday() in window.days and first <= clock < last
    else:
        quiet = (local.weekday() in window.days and clock >= first) or (
            yesterday in window.days and clock < last
        )
    assert (quiet_until([window], now, zone) is not None) == quiet


@settings(max_examples=100)
@given(moments(), st.lists(windows(), min_size=1, max_size=3))
def test_several_windows_end_together(moment, given_windows) -> None:
    from hypothesis import assume

    from notify import InvalidPreferences, NotificationPreferences

    try:
        NotificationPreferences(quiet_hours=given_windows)
    except InvalidPreferences:
        assume(False)
    zone, now = moment
    end = quiet_until(given_windows, now, zone)
    if end is not None:
        assert now < end <= now + timedelta(days=9)
        assert quiet_until(given_windows, end, zone) is None
    else:
        assert all(quiet_until([each], now, zone) is None for each in given_windows)
