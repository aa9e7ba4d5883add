"""From a stored record to the operation that users see."""

from datetime import datetime
from typing import Any

import msgspec

from ._common.clock import utc
from .models import ChildCounts, LogLine, Progress, ProgressStage, ProgressStatus
from .ports import WHOLE, Kids, Record, Stage
from .rules import rate_and_eta
from .rules.percent import to_percent


def to_progress(record: Record) -> Progress:
    """Return the operation as users see it."""
    state = record.state
    rate, eta = _speed(record)
    return Progress(
        id=record.id,
        status=record.status,
        progress=to_percent(record.units),
        stage=state.stage,
        stages=tuple(map(_stage, state.stages)) or None,
        error=state.error,
        metadata=_metadata(record),
        created_at=utc(record.created_at),
        updated_at=utc(record.updated_at),
        completed_at=_time(record.completed_at),
        version=record.version,
        epoch=record.epoch,
        kind=record.kind,
        user_id=record.user_id,
        parent_id=record.parent_id,
        current=state.current,
        total=state.total,
        message=state.message,
        result=state.result,
        error_type=state.error_type,
        rate=rate,
        eta=eta,
        reason=state.reason,
        started_at=_time(state.started_at),
        cancel_requested=record.cancel_requested,
        children=_children(record.kids),
        logs=tuple(LogLine(utc(e.at), e.level, e.message, e.stage) for e in state.logs),
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else utc(seconds)


def _metadata(record: Record) -> dict[str, Any]:
    try:
        return msgspec.json.decode(record.metadata, type=dict[str, Any])
    except msgspec.DecodeError:
        # somebody else wrote the table; the operation is still worth showing
        return {}


def _stage(stage: Stage) -> ProgressStage:
    return ProgressStage(
        name=stage.name,
        status=stage.status,
        progress=stage.percent,
        started_at=_time(stage.started_at),
        completed_at=_time(stage.completed_at),
        weight=stage.weight / 1000,
        current=stage.current,
        total=stage.total,
        skipped=stage.skipped,
    )


def _children(kids: Kids) -> ChildCounts | None:
    if not kids.total:
        return None
    return ChildCounts(kids.total, kids.completed, kids.failed, kids.cancelled)


def _speed(record: Record) -> tuple[float | None, float | None]:
    state = record.state
    if record.status is not ProgressStatus.PROCESSING:
        return None, None
    rate = (
        rate_and_eta.rate(state.pace)
        if state.current is not None
        else rate_and_eta.rate(state.flow)
    )
    return rate, rate_and_eta.blended(_eta(record), state.prior, record.units / WHOLE)


def _eta(record: Record) -> float | None:
    """Return the seconds left by the operation's own speed."""
    state = record.state
    if record.kids.total and state.started_at is not None:
        # children write without asking their parent: the mean since the start is what is known
        elapsed, done = record.updated_at - state.started_at, to_percent(record.units)
        return elapsed * (100 - done) / done if elapsed >= 1 and done > 0 else None
    if not state.stages and state.total and state.current is not None:
        return rate_and_eta.eta(state.pace, state.total)
    return rate_and_eta.eta(state.flow, 100.0)
