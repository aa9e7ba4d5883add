"""The hard cases of the page on quiet hours, with the times written out."""

from datetime import datetime

import pytest

from notify import QuietHours
from notify.quiet import quiet_until

BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("start", "end", "zone", "days", "now", "until"),
    [
        ("22:00", "07:00", BERLIN, None, "2026-01-14T21:30", "2026-01-15T06:00"),
        ("22:00", "07:00", BERLIN, ("fri",), "2026-01-17T05:59", "2026-01-17T06:00"),
        ("22:00", "07:00", BERLIN, ("fri",), "2026-01-17T21:30", None),
        ("22:00", "07:00", BERLIN, None, "2026-03-29T00:30", "2026-03-29T05:00"),
        ("22:00", "07:00", BERLIN, None, "2026-10-25T00:30", "2026-10-25T06:00"),
        ("22:00", "02:30", BERLIN, None, "2026-03-29T00:30", "2026-03-29T01:00"),
        ("22:00", "02:30", BERLIN, None, "2026-10-25T00:45", "2026-10-25T01:30"),
        ("02:30", "06:00", BERLIN, None, "2026-03-29T01:00", "2026-03-29T04:00"),
        ("02:30", "06:00", BERLIN, None, "2026-03-29T00:59", None),
        ("21:00", "08:00", "Australia/Lord_Howe", None, "2026-04-04T15:10", "2026-04-04T21:30"),
        ("23:00", "06:00", "Africa/Cairo", None, "2026-04-23T22:30", "2026-04-24T03:00"),
        ("22:00", "07:00", "Asia/Kathmandu", None, "2026-06-01T18:00", "2026-06-02T01:15"),
        ("22:00", "07:00", "Pacific/Apia", None, "2011-12-30T09:30", "2011-12-30T17:00"),
    ],
)
def test_a_hard_case(start, end, zone, days, now, until) -> None:
    window = QuietHours(start, end, zone, days)
    found = quiet_until((window,), datetime.fromisoformat(f"{now}+00:00"), None)
    assert found == (None if until is None else datetime.fromisoformat(f"{until}+00:00"))
