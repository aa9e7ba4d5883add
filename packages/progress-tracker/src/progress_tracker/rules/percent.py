"""The percent of an operation from its stages and children.

An operation's percent is the weighted mean of its parts, its stages and its children; without
parts it is what was reported. A ``total`` says how many children are expected: those that are not
there yet count as not begun. Percents are counted in millionths (``WHOLE`` is 100 percent),
weights in thousandths: whole numbers, so that any order of additions gives the same sum. A parent
keeps the sums of its children, and every stored write of a child adds its difference; floating
point would drift away from a recount.
"""

from collections.abc import Iterable

import msgspec

from ..models import ProgressStatus
from ..ports import WHOLE, Kids, Record, State

_UNIT = WHOLE // 100
_MOST = 1e12


def to_units(percent: float) -> int:
    """Return a percent in units."""
    return round(percent * _UNIT)


def to_percent(units: int) -> float:
    """Return units as a percent."""
    return units / _UNIT


def own_sums(state: State) -> tuple[int, int, int]:
    """Return the sum of the stages' weights, that of weight times units, and the weight expected.

    What is expected is the ``total`` of an operation without stages: its children count against it.
    """
    parts = state.stages and [stage for stage in state.stages if not stage.skipped]
    expected = 0 if parts or state.total is None else round(min(state.total, _MOST) * 1000)
    if not parts:
        return 0, 0, expected
    return (
        sum(stage.weight for stage in parts),
        sum(stage.weight * to_units(stage.percent) for stage in parts),
        expected,
    )


def units_of(status: ProgressStatus, state: State, kids: Kids) -> int:
    """Return the units of an operation from its own state and its children's sums."""
    if status is ProgressStatus.COMPLETED:
        return WHOLE
    weight, done, expected = own_sums(state)
    if weight + kids.weight == 0:
        return to_units(state.percent)
    return (done + kids.done) // max(weight + kids.weight, expected if kids.weight else 0)


def changed(kids: Kids, before: Record | None, after: Record | None) -> Kids:
    """Return the sums of a parent after one of its children changed, came or went."""
    old, new = of_children([before] if before else []), of_children([after] if after else [])
    return Kids(
        *(
            getattr(kids, name) - getattr(old, name) + getattr(new, name)
            for name in Kids.__struct_fields__
        )
    )


def of_children(children: Iterable[Record]) -> Kids:
    """Return the sums of all ``children``: a full recount."""
    weight = done = total = 0
    ended = {ProgressStatus.COMPLETED: 0, ProgressStatus.FAILED: 0, ProgressStatus.CANCELLED: 0}
    for child in children:
        weight += child.weight
        done += child.weight * child.units
        total += 1
        if child.status in ended:
            ended[child.status] += 1
    return Kids(weight, done, total, *ended.values())


def with_kids(record: Record, kids: Kids, now: float) -> Record:
    """Return a parent with other sums of its children.

    An ended parent keeps its percent and version: its state is final, the sums wait for a restart.
    """
    if record.status.is_final:
        return msgspec.structs.replace(record, kids=kids)
    started = kids.done > 0 or kids.completed + kids.failed + kids.cancelled > 0
    pending = record.status is ProgressStatus.PENDING and not started
    status = ProgressStatus.PENDING if pending else ProgressStatus.PROCESSING
    return msgspec.structs.replace(
        record,
        kids=kids,
        status=status,
        units=units_of(status, record.state, kids),
        version=record.version + 1,
        updated_at=max(record.updated_at, now),
        stale_at=None if pending else max(record.stale_at or 0.0, now + record.stale_after),
    )
