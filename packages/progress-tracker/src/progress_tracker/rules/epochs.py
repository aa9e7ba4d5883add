"""``restart`` and ``track`` of a known id: how an operation's next epoch begins."""

import math

from ..errors import ProgressConflict
from ..models import ProgressStatus
from ..ports import Record, Stage, State
from .stages import place_of, replace, without_stages


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
        raise without_stages(record, stage)
    state = record.state
    begin = math.inf if stage is None else place_of(state, stage)
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
    it has any; totals that were the lengths of loops are forgotten. A cancellation that was asked
    for holds until an end answers it; that of a stalled operation does not, for nobody heard it.
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
        planned = plan.stages or tuple(
            replace(each, total=None) if each.name in state.looped else each
            for each in state.stages
        )
        stages = tuple(
            each if each.skipped else Stage(each.name, each.weight, total=each.total, epoch=epoch)
            for each in planned
        )
        before = None if stages or "" in state.looped else state.total
        total = before if stages or plan.total is None else plan.total
        state = State(stages=stages, total=total, mark=epoch, prior=state.prior)
    state = replace(
        state, result=None, error=None, error_type=None, reason=None,
        started_at=now, sequence=0, pace=None, flow=None,
    )  # fmt: skip
    answered = record.status.is_final and record.state.reason != "stalled"
    return replace(
        _next_epoch(record, state, now),
        status=ProgressStatus.PROCESSING,
        writer=writer,
        stale_after=lease,
        stale_at=now + lease,
        cancel_requested=record.cancel_requested and not answered,
    )
