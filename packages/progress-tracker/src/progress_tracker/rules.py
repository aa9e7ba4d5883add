"""What an operation may become: pure functions from a record to its next own state.

Each returns the record itself where nothing changes. Stores apply the result only if the record
is still the stored one, so that a rule never sees half of another's change.
"""

import math
from collections.abc import Callable
from typing import Any

import msgspec

from . import checks, pace
from .errors import InvalidProgress, ProgressCancelled, ProgressConflict
from .models import ProgressStatus
from .ports import Record, Stage, State
from .tally import to_percent, units_of

Rule = Callable[[Record], Record]
replace = msgspec.structs.replace
_RUNNING = ProgressStatus.PROCESSING


def still_open(record: Record, epoch: int | None) -> None:
    """Refuse a write that comes too late.

    Raises:
        ProgressConflict: The operation has ended, or is in another epoch.
    """
    if epoch is not None and epoch != record.epoch:
        raise ProgressConflict(
            f"operation {record.id!r} is in epoch {record.epoch}, not {epoch}: too late"
        )
    if record.status.is_final:
        raise ProgressConflict(f"operation {record.id!r} has ended as {record.status}")


def alive(record: Record, state: State, now: float) -> Record:
    """Return ``record`` running, with ``state`` and everything that time makes of it."""
    state = replace(state, started_at=state.started_at or now, flow=_flow(record, state, now))
    return replace(
        record,
        status=_RUNNING,
        state=state,
        updated_at=now,
        stale_at=now + record.stale_after,
    )


def _flow(record: Record, state: State, now: float) -> Any:
    done = to_percent(units_of(_RUNNING, state, record.kids))
    return pace.observe(state.flow, done, now)


def update(
    record: Record,
    now: float,
    progress: float | None,
    stage: str | None = None,
    message: str | None = None,
    epoch: int | None = None,
) -> Record:
    """Set the percent of a stage or of the whole, and the message.

    Raises:
        ProgressConflict: The operation has ended, or is in another epoch.
        InvalidProgress: The stage is unknown.
    """
    still_open(record, epoch)
    state = record.state
    if state.stages:
        place = _place(state, stage)
        state = _enter(state, place, now)
        state = _stage_percent(state, place, progress, record.epoch, now)
    elif stage is not None:
        raise InvalidProgress(f"unknown stage {stage!r}: operation {record.id!r} has no stages")
    elif progress is not None and (progress > state.percent or state.mark != record.epoch):
        state = replace(state, percent=progress, mark=record.epoch)
    if message is not None:
        state = replace(state, message=message)
    if state is record.state and record.status is _RUNNING:
        return record
    return alive(record, state, now)


def _place(state: State, stage: str | None) -> int:
    """Return the index of ``stage``; of the running one, or the first, if None."""
    wanted = stage if stage is not None else state.stage
    for index, each in enumerate(state.stages):
        if each.name == wanted or (wanted is None and not each.skipped):
            return index
    if stage is None:
        return 0
    known = ", ".join(repr(each.name) for each in state.stages)
    raise InvalidProgress(f"unknown stage {stage!r}; the operation's stages are {known}")


def _enter(state: State, place: int, now: float) -> State:
    """Make the stage at ``place`` the running one, unless a later one runs."""
    names = [each.name for each in state.stages]
    running = names.index(state.stage) if state.stage in names else -1
    if place < running:
        return state
    stages = list(state.stages)
    for index in range(place):
        if stages[index].status is _RUNNING:
            stages[index] = _ended(stages[index], ProgressStatus.COMPLETED, now)
    one = stages[place]
    if one.status is ProgressStatus.PENDING and not one.skipped:
        stages[place] = replace(one, status=_RUNNING, started_at=one.started_at or now)
    made = tuple(stages)
    if place == running and made == state.stages:
        return state
    current, total = made[place].current, made[place].total
    return replace(state, stage=names[place], stages=made, current=current, total=total, pace=None)


def _ended(stage: Stage, status: ProgressStatus, now: float) -> Stage:
    percent = 100.0 if status is ProgressStatus.COMPLETED else stage.percent
    return replace(stage, status=status, percent=percent, completed_at=now)


def _stage_percent(
    state: State, place: int, progress: float | None, epoch: int, now: float
) -> State:
    one = state.stages[place]
    if progress is None or one.status is not _RUNNING:
        return state
    if progress <= one.percent and one.epoch == epoch and progress < 100:
        return state
    if progress >= 100:
        one = _ended(replace(one, epoch=epoch), ProgressStatus.COMPLETED, now)
    else:
        one = replace(one, percent=progress, epoch=epoch)
    return _with_stage(state, place, one)


def _with_stage(state: State, place: int, stage: Stage) -> State:
    return replace(state, stages=(*state.stages[:place], stage, *state.stages[place + 1 :]))


def advance(
    record: Record, now: float, n: float, stage: str | None = None, epoch: int | None = None
) -> Record:
    """Count ``n`` more units of a stage or of the whole.

    Raises:
        ProgressConflict: The operation has ended, or is in another epoch.
        InvalidProgress: The stage is unknown.
    """
    still_open(record, epoch)
    state = record.state
    if not state.stages and stage is not None:
        raise InvalidProgress(f"unknown stage {stage!r}: operation {record.id!r} has no stages")
    before: float | None = state.current
    total = state.total
    if state.stages:
        one = state.stages[_place(state, stage)]
        before, total, stage = one.current, one.total, one.name
    return count(record, now, (before or 0) + n, total, stage)


def count(
    record: Record, now: float, current: float, total: float | None, stage: str | None
) -> Record:
    """Set the absolute count of a stage or of the whole; smaller ones of the epoch lose."""
    state = record.state
    share = min(100.0, 100.0 * current / total) if total else None
    if state.stages:
        place = _place(state, stage)
        state = _enter(state, place, now)
        one = state.stages[place]
        if one.status is not _RUNNING:
            return record if state is record.state else alive(record, state, now)
        fresh = one.epoch != record.epoch
        if share is not None and (share > one.percent or fresh):
            one = replace(one, percent=share)
        counts = _counts(one, current, total, fresh=fresh)
        state = _with_stage(state, place, replace(one, epoch=record.epoch, **counts))
        if state.stage == one.name:
            state = replace(state, **counts)
    else:
        fresh = state.mark != record.epoch
        if share is not None and (share > state.percent or fresh):
            state = replace(state, percent=share)
        state = replace(state, mark=record.epoch, **_counts(state, current, total, fresh=fresh))
    if state == record.state and record.status is _RUNNING:
        return record
    if state.current is not None:
        state = replace(state, pace=pace.observe(state.pace, state.current, now))
    return alive(record, state, now)


def _counts(
    part: Stage | State, current: float, total: float | None, *, fresh: bool
) -> dict[str, float | None]:
    best = current if fresh or part.current is None else max(part.current, current)
    return {"current": best, "total": part.total if total is None else total}


def skip_stage(record: Record, now: float, stage: str) -> Record:
    """Leave a stage out of the weights.

    Raises:
        ProgressConflict: The operation or the stage has ended.
        InvalidProgress: The stage is unknown.
    """
    still_open(record, None)
    if not record.state.stages:
        raise InvalidProgress(f"unknown stage {stage!r}: operation {record.id!r} has no stages")
    place = _place(record.state, stage)
    one = record.state.stages[place]
    if one.skipped:
        return record
    if one.status.is_final:
        raise ProgressConflict(f"stage {stage!r} has ended as {one.status}")
    done = replace(one, skipped=True, status=ProgressStatus.COMPLETED, completed_at=now)
    return replace(record, state=_with_stage(record.state, place, done), updated_at=now)


def complete(record: Record, now: float, result: Any = None, epoch: int | None = None) -> Record:
    """End well: every stage completed, 100 percent.

    Raises:
        ProgressConflict: The operation has ended, or is in another epoch.
    """
    still_open(record, epoch)
    done = ProgressStatus.COMPLETED
    stages = tuple(
        each if each.status is done else _ended(each, done, now) for each in record.state.stages
    )
    state = replace(record.state, stages=stages, percent=100.0, result=result)
    return _end(record, state, done, now)


def fail(
    record: Record,
    now: float,
    error: BaseException | str,
    epoch: int | None = None,
    *,
    stalled: bool = False,
) -> Record:
    """End badly; the running stage is marked. A ``ProgressCancelled`` ends as cancelled.

    Raises:
        ProgressConflict: The operation has ended, or is in another epoch.
    """
    if isinstance(error, ProgressCancelled):
        return cancel(record, now, epoch)
    still_open(record, epoch)
    message, kind = checks.error_text(error)
    state = _mark_running(record.state, ProgressStatus.FAILED, now)
    state = replace(state, error=message, error_type=kind, reason="stalled" if stalled else None)
    return _end(record, state, ProgressStatus.FAILED, now)


def cancel(record: Record, now: float, epoch: int | None = None) -> Record:
    """End because somebody asked for it.

    Raises:
        ProgressConflict: The operation has ended, or is in another epoch.
    """
    still_open(record, epoch)
    state = _mark_running(record.state, ProgressStatus.CANCELLED, now)
    return _end(record, state, ProgressStatus.CANCELLED, now)


def _mark_running(state: State, status: ProgressStatus, now: float) -> State:
    stages = tuple(
        _ended(each, status, now) if each.status is _RUNNING else each for each in state.stages
    )
    return replace(state, stages=stages)


def _end(record: Record, state: State, status: ProgressStatus, now: float) -> Record:
    return replace(
        record, status=status, state=state, updated_at=now, completed_at=now, stale_at=None
    )


def request_cancel(record: Record, now: float) -> Record:
    """Raise the flag that reaches the worker.

    Raises:
        ProgressConflict: The operation has ended.
    """
    still_open(record, None)
    if record.cancel_requested:
        return record
    return replace(record, cancel_requested=True, updated_at=now)


def restart(record: Record, now: float, stage: str | None = None) -> Record:
    """Open an ended operation again in its next epoch: counters and ended stages are kept.

    The failed stage, or ``stage`` and all after it, are pending again; they may run backwards once.

    Raises:
        ProgressConflict: The operation has not ended.
        InvalidProgress: The stage is unknown.
    """
    if not record.status.is_final:
        raise ProgressConflict(
            f"operation {record.id!r} is {record.status}; only an ended one restarts"
        )
    if stage is not None and not record.state.stages:
        raise InvalidProgress(f"unknown stage {stage!r}: operation {record.id!r} has no stages")
    state = record.state
    begin = math.inf if stage is None else _place(state, stage)
    stages = tuple(
        Stage(each.name, each.weight, total=each.total, epoch=record.epoch)
        if index >= begin and not each.skipped
        else _again(each)
        for index, each in enumerate(state.stages)
    )
    back = next((each.name for each in stages if each.status is ProgressStatus.PENDING), None)
    state = replace(
        state, stages=stages, stage=back, percent=_resumed(record),
        result=None, error=None, error_type=None, reason=None, started_at=None,
        sequence=0, pace=None, flow=None,
    )  # fmt: skip
    return _next_epoch(record, state, now)


def _resumed(record: Record) -> float:
    """Return the own percent to go on from: 100 of a completion was not earned."""
    state = record.state
    if record.status is ProgressStatus.COMPLETED:
        return min(100.0, 100.0 * (state.current or 0) / state.total) if state.total else 0.0
    return state.percent


def _again(stage: Stage) -> Stage:
    if stage.status in {ProgressStatus.FAILED, ProgressStatus.CANCELLED}:
        return replace(stage, status=ProgressStatus.PENDING, completed_at=None)
    return stage


def _next_epoch(record: Record, state: State, now: float) -> Record:
    return replace(
        record,
        epoch=record.epoch + 1,
        status=ProgressStatus.PENDING,
        state=state,
        updated_at=now,
        completed_at=None,
        stale_at=None,
        writer=None,
        cancel_requested=False,
    )


def take_over(
    record: Record, now: float, writer: str, lease: float, plan: State, *, resume: bool
) -> Record:
    """Begin the next epoch with ``writer`` as the only one whose reports count.

    Without ``resume`` everything begins anew, at zero, with the stages and total of ``plan`` where
    it has any. A cancellation that was asked for before anybody began still holds.
    """
    state, epoch = record.state, record.epoch + 1
    if resume:
        stages = tuple(
            replace(each, status=ProgressStatus.PENDING, completed_at=None)
            if each.status not in {ProgressStatus.COMPLETED, ProgressStatus.PENDING}
            else each
            for each in state.stages
        )
        state = replace(state, stages=stages, percent=_resumed(record), mark=epoch)
    else:
        stages = tuple(
            each if each.skipped else Stage(each.name, each.weight, total=each.total, epoch=epoch)
            for each in plan.stages or state.stages
        )
        total = plan.total if plan.total is not None else state.total
        state = State(stages=stages, total=None if stages else total, mark=epoch)
    state = replace(
        state, result=None, error=None, error_type=None, reason=None,
        started_at=now, sequence=0, pace=None, flow=None,
    )  # fmt: skip
    begun = record.status.is_final or record.writer is not None
    return replace(
        _next_epoch(record, state, now),
        status=_RUNNING,
        writer=writer,
        stale_after=lease,
        stale_at=now + lease,
        cancel_requested=record.cancel_requested and not begun,
    )
