"""From a stored record to what users see, and to the JSON that travels."""

from datetime import datetime
from typing import Any

import msgspec

from . import pace
from ._common.clock import utc
from .models import ChildCounts, LogLine, Progress, ProgressStage, ProgressStatus
from .ports import Kids, Record, Stage
from .tally import to_percent


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
    rate = pace.speed(state.pace) if state.current is not None else pace.speed(state.flow)
    if record.kids.total and state.started_at is not None:
        # children write without asking their parent: the mean since the start is what is known
        elapsed, done = record.updated_at - state.started_at, to_percent(record.units)
        return rate, elapsed * (100 - done) / done if elapsed >= 1 and done > 0 else None
    if not state.stages and state.total and state.current is not None:
        return rate, pace.left(state.pace, state.total)
    return rate, pace.left(state.flow, 100.0)


# -- the JSON of the web application, in the words of the users' specification ---------------------


def to_json(progress: Progress) -> dict[str, Any]:
    """Return ``progress`` with camelCase names, dates as ISO 8601 UTC."""
    made: dict[str, Any] = {
        _camel(name): getattr(progress, name)
        for name in Progress.__dataclass_fields__
        if name not in {"error", "error_type", "stages", "children", "logs"}
    }
    made["error"] = (
        None if progress.error is None else {"message": progress.error, "type": progress.error_type}
    )
    for name in ("stages", "children", "logs"):
        made[name] = _camel_keys(msgspec.to_builtins(getattr(progress, name)))
    return _plain_times(made)


def _plain_times(made: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for key, value in made.items()
    }


def from_json(data: dict[str, Any]) -> Progress:
    """Return the operation of :func:`to_json`; unknown names of newer releases are left out.

    Raises:
        ValueError: It is not one.
    """
    plain = {_snake(key): value for key, value in data.items()}
    error = plain.pop("error", None) or {}
    for name in ("stages", "children"):
        plain[name] = _snake_keys(plain.get(name))
    return msgspec.convert(
        {**plain, "error": error.get("message"), "error_type": error.get("type")}, Progress
    )


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def _camel_keys(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_camel_keys(each) for each in value]
    return {_camel(k): v for k, v in value.items()} if isinstance(value, dict) else value


def _snake_keys(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_snake_keys(each) for each in value]
    return {_snake(k): v for k, v in value.items()} if isinstance(value, dict) else value
