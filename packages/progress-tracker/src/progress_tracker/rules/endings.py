"""``complete``, ``fail``, ``cancel`` and ``request_cancel``: how an operation ends."""

from typing import Any

from ..errors import ProgressCancelled
from ..models import ProgressStatus
from ..ports import Record, State
from . import checks
from .stages import ended, replace
from .updates import still_open


def complete(record: Record, now: float, result: Any = None, epoch: int | None = None) -> Record:
    """End well: every stage completed, 100 percent.

    Raises:
        ProgressConflict: The operation has ended, or is in another epoch.
    """
    still_open(record, epoch)
    done = ProgressStatus.COMPLETED
    stages = tuple(
        each if each.status is done else ended(each, done, now) for each in record.state.stages
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
        ended(each, status, now) if each.status is ProgressStatus.PROCESSING else each
        for each in state.stages
    )
    return replace(state, stages=stages)


def _end(record: Record, state: State, status: ProgressStatus, now: float) -> Record:
    return replace(
        record, status=status, state=state, updated_at=now, completed_at=now, stale_at=None
    )


def release(record: Record, now: float, stale_after: float) -> Record:
    """Leave the operation running without a writer, until somebody takes it over."""
    return replace(
        record, updated_at=now, writer=None, stale_after=stale_after, stale_at=now + stale_after
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
