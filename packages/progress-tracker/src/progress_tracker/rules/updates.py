"""``update``, ``advance`` and ``skip_stage``: what happens while an operation runs."""

from ..errors import ProgressConflict
from ..models import ProgressStatus
from ..ports import Pace, Record, Stage, State
from . import checks, rate_and_eta
from .percent import to_percent, units_of
from .stages import ended, enter, place_of, replace, with_stage, without_stages

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


def _flow(record: Record, state: State, now: float) -> Pace:
    done = to_percent(units_of(_RUNNING, state, record.kids))
    return rate_and_eta.observe(state.flow, done, now)


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
        place = place_of(state, stage)
        state = enter(state, place, now)
        state = _stage_percent(state, place, progress, record.epoch, now)
    elif stage is not None:
        raise without_stages(record, stage)
    elif progress is not None and (progress > state.percent or state.mark != record.epoch):
        state = replace(state, percent=progress, mark=record.epoch)
    if message is not None:
        state = replace(state, message=message)
    if state is record.state and record.status is _RUNNING:
        return record
    return alive(record, state, now)


def _stage_percent(
    state: State, place: int, progress: float | None, epoch: int, now: float
) -> State:
    one = state.stages[place]
    if progress is None or one.status is not _RUNNING:
        return state
    if progress <= one.percent and one.epoch == epoch and progress < 100:
        return state
    if progress >= 100:
        one = ended(replace(one, epoch=epoch), ProgressStatus.COMPLETED, now)
    else:
        one = replace(one, percent=progress, epoch=epoch)
    return with_stage(state, place, one)


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
        raise without_stages(record, stage)
    before: float | None = state.current
    total = state.total
    if state.stages:
        one = state.stages[place_of(state, stage)]
        before, total, stage = one.current, one.total, one.name
    return count(record, now, min((before or 0) + n, checks.MAX_NUMBER), total, stage)


def count(
    record: Record, now: float, current: float, total: float | None, stage: str | None
) -> Record:
    """Set the absolute count of a stage or of the whole; smaller ones of the epoch lose."""
    state = record.state
    share = min(100.0, 100.0 * current / total) if total else None
    if state.stages:
        place = place_of(state, stage)
        state = enter(state, place, now)
        one = state.stages[place]
        if one.status is not _RUNNING:
            return record if state is record.state else alive(record, state, now)
        fresh = one.epoch != record.epoch
        if share is not None and (share > one.percent or fresh):
            one = replace(one, percent=share)
        counts = _counts(one, current, total, fresh=fresh)
        state = with_stage(state, place, replace(one, epoch=record.epoch, **counts))
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
        state = replace(state, pace=rate_and_eta.observe(state.pace, state.current, now))
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
        raise without_stages(record, stage)
    place = place_of(record.state, stage)
    one = record.state.stages[place]
    if one.skipped:
        return record
    if one.status.is_final:
        raise ProgressConflict(f"stage {stage!r} has ended as {one.status}")
    done = replace(one, skipped=True, status=ProgressStatus.COMPLETED, completed_at=now)
    return replace(record, state=with_stage(record.state, place, done), updated_at=now)
