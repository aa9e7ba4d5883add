"""Backoff, cron arithmetic, settings of cron entries."""

import math
import random
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from jobqueue import ConfigurationError, Retry, backoff
from jobqueue.worker.scheduler import CronEntry

BERLIN = ZoneInfo("Europe/Berlin")


def _at(text: str, zone: object = UTC) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()  # type: ignore[arg-type]


@pytest.mark.parametrize("attempt", [1, 2, 10, 63, 64, 65, 5000])
def test_exponential_backoff_is_finite_and_capped(attempt: int) -> None:
    rule = Retry(base=2, factor=3, cap=100)
    seconds = backoff.delay(rule, attempt, random.Random(1))
    assert 0 <= seconds <= rule.ceiling(attempt) <= 100


def test_full_jitter_spreads_over_the_whole_range() -> None:
    rng = random.Random(7)
    values = [backoff.delay("exponential", 4, rng) for _ in range(2000)]
    assert min(values) < 0.5
    assert max(values) > 15.5
    assert sum(values) / len(values) == pytest.approx(8, rel=0.1)


def test_callables_decide_by_themselves() -> None:
    rng = random.Random(1)
    assert backoff.delay(lambda attempt: attempt * 10, 3, rng) == 30
    assert backoff.delay(lambda _: -5, 3, rng) == 0
    assert backoff.delay(lambda _: math.nan, 3, rng) == 0


def test_policies_are_stored_with_the_job() -> None:
    rule = Retry("fixed", base=7)
    assert backoff.load(backoff.dump(rule)) == rule
    assert backoff.load("not json") is None
    assert backoff.load('{"kind": "fixed", "base": -1}') is None
    with pytest.raises(ConfigurationError):
        backoff.policy("linear")
    with pytest.raises(ValueError, match="seconds from 0"):
        Retry(base=math.inf)


def test_a_skipped_hour_runs_once() -> None:
    entry = CronEntry("n", "30 2 * * *", BERLIN)
    start = _at("2026-03-28T12:00", BERLIN)
    ticks = [
        datetime.fromtimestamp(t, BERLIN)
        for t, _ in zip(entry.after(start), range(2), strict=False)
    ]
    assert [t.day for t in ticks] == [29, 30]


def test_a_repeated_hour_runs_once() -> None:
    entry = CronEntry("n", "30 2 * * *", BERLIN)
    start = _at("2026-10-24T12:00", BERLIN)
    ticks = [
        datetime.fromtimestamp(t, BERLIN)
        for t, _ in zip(entry.after(start), range(2), strict=False)
    ]
    assert [t.day for t in ticks] == [25, 26]


def test_catching_up() -> None:
    last, now = _at("2026-01-01T00:00"), _at("2026-01-01T05:30")
    due = {
        kind: CronEntry("n", "0 * * * *", UTC, kind).due(last, now)  # type: ignore[arg-type]
        for kind in ("none", "one", "all")
    }
    five = _at("2026-01-01T05:00")
    assert due["none"] == ([], five)
    assert due["one"] == ([five], five)
    assert [len(due["all"][0]), due["all"][1]] == [5, five]


def test_a_tick_seen_a_moment_late_is_no_missed_one() -> None:
    entry = CronEntry("n", "0 * * * *", UTC)
    five = _at("2026-01-01T05:00")
    assert entry.due(five - 3600, five + 2) == ([five], five)
    assert entry.due(five, five + 2) == ([], five)


def test_a_long_absence_is_bounded() -> None:
    entry = CronEntry("n", "* * * * * *", UTC, "all")
    ticks, reached = entry.due(0, 1e6)
    assert len(ticks) == 1000
    assert reached == ticks[-1]
    ticks, reached = CronEntry("n", "* * * * * *", UTC, "one").due(0, 1e6)
    assert (len(ticks), reached) == (1, 1e6)


@pytest.mark.parametrize("wrong", [0.5, "linear", [], None])
def test_what_is_no_backoff_is_told_what_is(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Retry\(base=0\.5\), or a function"):
        backoff.policy(wrong)
