"""Quiet hours on the days when clocks change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from notify import InvalidPreferences, QuietHours
from notify.quiet import check_coverage, quiet_until


def local(zone: str, text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


NIGHT = ("22:00", "07:00")


@pytest.mark.parametrize(
    ("zone", "window", "now", "until"),
    [
        # an ordinary night, before, at its edges, after midnight, and after
        ("Europe/Berlin", NIGHT, "2026-06-01T21:59", None),
        ("Europe/Berlin", NIGHT, "2026-06-01T22:00", "2026-06-02T07:00"),
        ("Europe/Berlin", NIGHT, "2026-06-02T06:59", "2026-06-02T07:00"),
        ("Europe/Berlin", NIGHT, "2026-06-02T07:00", None),
        # the short and the long night
        ("Europe/Berlin", NIGHT, "2026-03-28T23:00", "2026-03-29T07:00"),
        ("Europe/Berlin", NIGHT, "2026-10-24T23:00", "2026-10-25T07:00"),
        # an end that the clocks skip: the moment of the jump
        ("Europe/Berlin", ("22:00", "02:30"), "2026-03-29T01:30", "2026-03-29T03:00"),
        # a start that they skip
        ("Europe/Berlin", ("02:30", "06:00"), "2026-03-29T03:10", "2026-03-29T06:00"),
        # a window that lies wholly in the gap is empty
        ("Europe/Berlin", ("02:10", "02:50"), "2026-03-29T03:00", None),
        # a gap of half an hour
        ("Australia/Lord_Howe", ("22:00", "02:15"), "2026-10-04T01:00", "2026-10-04T02:30"),
        ("Australia/Lord_Howe", ("02:15", "06:00"), "2026-10-04T02:30", "2026-10-04T06:00"),
        ("Australia/Lord_Howe", ("02:05", "02:25"), "2026-10-04T02:30", None),
        # an end at the jump, a start at it, a window that is the gap
        ("Europe/Berlin", ("01:30", "02:00"), "2026-03-29T01:45", "2026-03-29T03:00"),
        ("Europe/Berlin", ("03:00", "04:00"), "2026-03-29T03:00", "2026-03-29T04:00"),
        ("Europe/Berlin", ("02:00", "03:00"), "2026-03-29T03:00", None),
        # by day
        ("America/New_York", ("12:00", "13:00"), "2026-06-01T12:30", "2026-06-01T13:00"),
        # Samoa had no 30 December 2011
        ("Pacific/Apia", NIGHT, "2011-12-29T23:00", "2011-12-31T07:00"),
    ],
)
def test_ends(zone, window, now, until) -> None:
    found = quiet_until([QuietHours(*window)], local(zone, now), zone)
    assert found == (None if until is None else local(zone, until))


def test_an_end_that_clocks_repeat_is_the_second_one() -> None:
    window = [QuietHours("22:00", "02:30")]
    zone = "Europe/Berlin"
    second = local(zone, "2026-10-25T02:30", fold=1)
    assert quiet_until(window, local(zone, "2026-10-25T02:29"), zone) == second
    # the first half past two is still quiet: nothing goes out early
    assert quiet_until(window, local(zone, "2026-10-25T02:45"), zone) == second
    assert quiet_until(window, second, zone) is None


@pytest.mark.parametrize(
    ("window", "begins", "ends"),
    [
        # clocks go back from 02:00 to 01:30, by half an hour
        (("22:00", "01:45"), ("2026-04-04T22:00", 0), ("2026-04-05T01:45", 1)),
        (("01:45", "06:00"), ("2026-04-05T01:45", 0), ("2026-04-05T06:00", 0)),
        (("01:35", "01:55"), ("2026-04-05T01:35", 0), ("2026-04-05T01:55", 1)),
        (("01:00", "01:30"), ("2026-04-05T01:00", 0), ("2026-04-05T01:30", 1)),
        (("02:00", "04:00"), ("2026-04-05T02:00", 0), ("2026-04-05T04:00", 0)),
    ],
)
def test_half_an_hour_twice(window, begins, ends) -> None:
    zone, quiet = "Australia/Lord_Howe", [QuietHours(*window)]
    start, end = local(zone, *begins), local(zone, *ends)
    assert quiet_until(quiet, start - timedelta(seconds=1), zone) is None
    now = start
    while now < end:
        assert quiet_until(quiet, now, zone) == end
        now += timedelta(minutes=5)
    assert quiet_until(quiet, end, zone) is None


def test_weekdays_are_those_of_the_start() -> None:
    window = [QuietHours("22:00", "07:00", "UTC", ["fri"])]
    saturday = datetime(2026, 6, 6, 3, tzinfo=UTC)
    assert quiet_until(window, saturday) == datetime(2026, 6, 6, 7, tzinfo=UTC)
    assert quiet_until(window, datetime(2026, 6, 5, 3, tzinfo=UTC)) is None


def test_windows_that_meet_are_one() -> None:
    windows = [
        QuietHours("20:00", "23:00"),
        QuietHours("23:00", "06:00"),
        QuietHours("05:00", "08:00"),
    ]
    found = quiet_until(windows, datetime(2026, 6, 1, 20, 30, tzinfo=UTC))
    assert found == datetime(2026, 6, 2, 8, tzinfo=UTC)


def test_a_windows_own_zone_wins() -> None:
    window = [QuietHours("22:00", "07:00", "Asia/Tokyo")]
    noon = datetime(2026, 6, 1, 14, tzinfo=UTC)  # 23:00 in Tokyo
    assert quiet_until(window, noon, "Europe/Berlin") == datetime(2026, 6, 1, 22, tzinfo=UTC)


def test_some_time_must_be_left() -> None:
    check_coverage([QuietHours("00:00", "23:00")])
    with pytest.raises(InvalidPreferences):
        check_coverage([QuietHours("00:00", "23:00"), QuietHours("22:00", "00:30")])
    with pytest.raises(InvalidPreferences, match="same time"):
        QuietHours("08:00", "08:00")
    assert QuietHours("08:00", "09:00", weekdays="mon").weekdays == ("mon",)
    with pytest.raises(InvalidPreferences, match="weekdays are"):
        QuietHours("08:00", "09:00", weekdays=[True])
