"""Rules that the service cannot show by itself."""

from typing import Any

import pytest

from progress_tracker import ProgressConflict, rules
from progress_tracker.ports import Record, State
from progress_tracker.rules import rate_and_eta, reports
from progress_tracker.testing import NOW, record


def taken(writer: str = "me") -> Record:
    return rules.take_over(record("x"), NOW, writer, 30.0, State(), resume=False)


def report(**fields: Any) -> reports.Report:
    values: dict[str, Any] = {
        "epoch": 2, "writer": "me", "sequence": 1, "percent": None, "current": 5.0, "total": 10.0,
        "stage": None, "stages": (), "skipped": (), "message": None, "logs": (),
    }  # fmt: skip
    return reports.Report(**{**values, **fields})


def test_a_report_of_another_writer_is_refused() -> None:
    for wrong in ({"writer": "zombie"}, {"epoch": 1}, {"epoch": 3}):
        with pytest.raises(ProgressConflict):
            reports.report(taken(), NOW, report(**wrong))


def test_a_repeated_or_older_report_changes_nothing() -> None:
    once = reports.report(taken(), NOW, report(sequence=2))
    assert once.state.current == 5
    assert reports.report(once, NOW + 1, report(sequence=2)) is once
    assert reports.report(once, NOW + 1, report(sequence=1, current=9.0)) is once


@pytest.mark.parametrize("resume", [True, False])
def test_a_request_to_cancel_holds_until_somebody_hears_it(resume: bool) -> None:
    def took(base: Record, writer: str) -> Record:
        return rules.take_over(base, NOW + 99, writer, 30.0, State(), resume=resume)

    begun = took(rules.request_cancel(record("x"), NOW), "me")
    assert begun.cancel_requested, "asked before anybody began"
    assert took(begun, "you").cancel_requested, "asked while the worker before was away"
    stalled = rules.fail(begun, NOW + 60, "stalled", stalled=True)
    assert took(stalled, "you").cancel_requested, "whether anybody read meanwhile or not"


@pytest.mark.parametrize("resume", [True, False])
def test_an_end_answers_a_request_to_cancel(resume: bool) -> None:
    asked = rules.request_cancel(taken(), NOW)
    ends = (rules.cancel(asked, NOW), rules.complete(asked, NOW), rules.fail(asked, NOW, "no"))
    for ended in ends:
        again = rules.take_over(ended, NOW, "you", 30.0, State(), resume=resume)
        assert not again.cancel_requested
    stalled = rules.fail(asked, NOW + 60, "stalled", stalled=True)
    assert not rules.restart(stalled, NOW + 61).cancel_requested, "somebody wants it to go on"


def test_a_clock_that_is_set_back() -> None:
    seen = rate_and_eta.observe(None, 0, NOW)
    seen = rate_and_eta.observe(seen, 10, NOW + 1)
    assert rate_and_eta.rate(seen) == pytest.approx(10)
    assert rate_and_eta.observe(seen, 20, NOW + 1) is seen, "no time has passed"
    back = rate_and_eta.observe(seen, 20, NOW - 100)
    assert rate_and_eta.rate(back) is None
    assert rate_and_eta.rate(rate_and_eta.observe(back, 30, NOW - 98)) == pytest.approx(10)
    assert rate_and_eta.eta(None, 5) is None


def test_fewer_units_begin_anew() -> None:
    seen = rate_and_eta.observe(rate_and_eta.observe(None, 50, NOW), 60, NOW + 5)
    assert rate_and_eta.observe(seen, 0, NOW + 6) == rate_and_eta.observe(None, 0, NOW + 6)
