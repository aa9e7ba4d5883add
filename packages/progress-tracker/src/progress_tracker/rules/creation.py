"""From a call's options to the record of a new operation."""

from collections.abc import Mapping, Sequence
from typing import Any

from .._common.clock import NewId
from .._common.telemetry import correlation_id
from ..errors import InvalidProgress, ProgressConflict
from ..models import ProgressOptions, ProgressStatus
from ..ports import Record, State
from . import checks
from .stages import replace


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
        raise TypeError(
            f"{call}() takes ProgressOptions, or keywords like id=…, not {checks.shown(options)}"
        )
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
        stages, total = tuple(replace(each, total=total) for each in stages), None
    metadata: Any = {} if options.metadata is None else options.metadata
    mark = correlation_id()
    if mark is not None and isinstance(metadata, Mapping) and "correlation_id" not in metadata:
        metadata = {**metadata, "correlation_id": mark}
    return Record(
        id=new_id() if options.id is None else checks.name(options.id, "id"),
        user_id=optional_name(options.user_id, "user_id"),
        parent_id=optional_name(options.parent_id, "parent_id"),
        kind=optional_name(options.kind, "kind"),
        weight=checks.weight(options.weight),
        metadata=checks.metadata(metadata),
        stale_after=stale_after,
        state=State(stages=stages, total=total),
    )


def optional_name(value: Any, what: str) -> str | None:
    """Return a name, or None as it is.

    Raises:
        InvalidProgress: It is neither.
    """
    return None if value is None else checks.name(value, what)


def as_child(record: Record, parent: Record) -> Record:
    """Return ``record`` as a part of ``parent``.

    Raises:
        ProgressConflict: The parent has ended, or is nested 16 deep.
    """
    if parent.status.is_final:
        raise ProgressConflict(
            f"operation {parent.id!r} has ended as {parent.status}: no new parts"
        )
    if len(parent.ancestors) >= 16:
        raise ProgressConflict(f"operation {parent.id!r} is nested too deep for more parts")
    owner = parent.user_id if record.user_id is None else record.user_id
    ancestors = (parent.id, *parent.ancestors)
    return replace(record, parent_id=parent.id, ancestors=ancestors, user_id=owner)


def statuses_of(
    status: ProgressStatus | Sequence[ProgressStatus] | None,
) -> tuple[ProgressStatus, ...]:
    """Return one status or several as a tuple.

    Raises:
        InvalidProgress: One is unknown.
    """
    if status is None:
        return ()
    try:
        many = (status,) if isinstance(status, str) else tuple(status)
        return tuple(ProgressStatus(each) for each in many)
    except (TypeError, ValueError):
        known = ", ".join(ProgressStatus)
        raise InvalidProgress(f"status must be of {known}, not {checks.shown(status)}") from None
