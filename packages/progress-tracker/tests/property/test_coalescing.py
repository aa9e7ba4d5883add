"""A handle and a flusher on virtual time: the last value is stored, and seldom enough."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from progress_tracker import ProgressOptions, rules
from progress_tracker.handle import ProgressHandle
from progress_tracker.models import ProgressStatus
from progress_tracker.ports import Record, State, Write
from progress_tracker.rules import reports
from progress_tracker.rules.percent import units_of
from progress_tracker.testing import NOW, record

INTERVAL = 0.1
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["advance", "update", "stage", "log", "error", "wait", "fail", "twice"]),
        st.floats(0, 0.3),
        st.floats(0, 100),
    ),
    max_size=60,
)


class Keeper:
    """No thread: the test decides when to flush."""

    woken = False

    def wake(self) -> None:
        self.woken = True

    def handle(self, options: ProgressOptions, *, resume: bool = False) -> ProgressHandle:
        raise NotImplementedError

    enter = aenter = leave = aleave = handle  # type: ignore[assignment]


def store(base: Record, write: Write) -> Record:
    new = write.record
    assert base.revision == new.revision
    return rules.replace(
        new,
        revision=base.revision + 1,
        version=base.version + 1,
        units=units_of(new.status, new.state, new.kids),
    )


@settings(max_examples=150)
@given(STEPS, st.booleans())
def test_last_value_stored_and_writes_bounded(steps: Any, staged: bool) -> None:
    names = ["a", "b", "c"] if staged else []
    from progress_tracker.rules.checks import stages

    keeper: Any = Keeper()
    plan = record(
        "x", state=State(stages=stages(names or None, None), total=None if staged else 500)
    )
    handle = ProgressHandle(keeper, plan, writer="w", resume=False)
    now = NOW
    stored = rules.take_over(plan, now, "w", 30.0, plan.state, resume=False)
    handle.adopt(stored)
    writes = forced = counted = 0
    percent = 0.0

    def flush(*, lost: bool = False, twice: bool = False) -> None:
        nonlocal stored, writes
        _, report = handle.snapshot(now)
        if lost:
            handle.unsent(None)
            return
        for _ in range(1 + twice):
            new = reports.report(stored, now, report)
            if new is not stored:
                stored = store(stored, Write(new, ProgressStatus.PROCESSING))
                writes += 1
        handle.stored(stored)

    place = 0
    for action, pause, value in steps:
        if action == "advance":
            handle.advance(3)
            counted += 3
        elif action == "update" and not staged:
            handle.update(value)
            percent = max(percent, value)
        elif action == "stage" and staged and place < 2:
            place += 1
            handle.stage(names[place])
            counted, forced = 0, forced + 1
        elif action in {"log", "error"}:
            handle.log("line", "error" if action == "error" else "info")
            forced += action == "error"
        now += pause
        if handle.due(now, INTERVAL):
            flush(lost=action == "fail", twice=action == "twice")
            forced += action == "fail"
    if handle.due(now + 2 * INTERVAL, INTERVAL):
        flush()
    assert (stored.state.current or 0) == counted
    if not staged:
        assert stored.state.percent >= percent
    else:
        assert stored.state.stage in {None, names[place]}
    assert writes <= (now - NOW) / INTERVAL + forced + 3
    late = reports.report(stored, now, handle.snapshot(now)[1])
    assert late.state.sequence > stored.state.sequence
