"""From a call's options to the record of a new operation."""

from collections.abc import Mapping, Sequence
from typing import Any

from . import checks, rules
from ._common.clock import NewId
from ._common.telemetry import correlation_id
from .errors import InvalidProgress
from .models import ProgressOptions, ProgressStatus
from .ports import Record, State


def options_of(
    call: str, options: ProgressOptions | None, keywords: Mapping[str, Any]
) -> ProgressOptions:
    """Return the options of a call that takes them as an object or as keywords.

    Raises:
        TypeError: Both are given, or the object is another.
    """
    given = {name: value for name, value in keywords.items() if value is not None}
    if options is None:
        return ProgressOptions(**given)
    if not isinstance(options, ProgressOptions):
        raise TypeError(f"{call}() takes ProgressOptions, not {type(options).__name__}")
    if given:
        raise TypeError(f"give options or keywords, not both: {sorted(given)}")
    return options


def new_record(options: ProgressOptions, *, new_id: NewId, stale_after: float) -> Record:
    """Return the record of a new, pending operation.

    Raises:
        InvalidProgress: An option is out of range.
    """
    stages = checks.stages(options.stages, options.weights)
    total = None if options.total is None else checks.number(options.total, "total")
    if total is not None and stages:
        stages, total = tuple(rules.replace(each, total=total) for each in stages), None
    metadata: Any = {} if options.metadata is None else options.metadata
    mark = correlation_id()
    if mark is not None and isinstance(metadata, Mapping) and "correlation_id" not in metadata:
        metadata = {**metadata, "correlation_id": mark}
    return Record(
        id=new_id() if options.id is None else checks.name(options.id, "id"),
        user_id=_name(options.user_id, "user_id"),
        parent_id=_name(options.parent_id, "parent_id"),
        kind=_name(options.kind, "kind"),
        weight=checks.weight(options.weight),
        metadata=checks.metadata(metadata),
        stale_after=stale_after,
        state=State(stages=stages, total=total),
    )


def _name(value: str | None, what: str) -> str | None:
    return None if value is None else checks.name(value, what)


def statuses_of(
    status: ProgressStatus | Sequence[ProgressStatus] | None,
) -> tuple[ProgressStatus, ...]:
    """Return one status or several as a tuple.

    Raises:
        InvalidProgress: One is unknown.
    """
    if status is None:
        return ()
    many = (status,) if isinstance(status, str) else status
    try:
        return tuple(ProgressStatus(each) for each in many)
    except ValueError as exc:
        raise InvalidProgress(str(exc)) from exc
