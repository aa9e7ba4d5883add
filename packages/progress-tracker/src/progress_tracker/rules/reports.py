"""What a handle tells about its operation, and how it is taken in."""

import msgspec

from ..errors import ProgressConflict
from ..ports import Line, Record
from .stages import replace
from .updates import alive, count, skip_stage, still_open, update


class Report(msgspec.Struct, frozen=True):
    """All that a handle knows, in absolute figures: the newest report replaces all before it.

    ``stages`` holds percent, current and total of each stage that was worked on, in order;
    ``looped`` the stages (``""`` is the whole) whose totals are the lengths of loops.
    """

    epoch: int
    writer: str
    sequence: int
    percent: float | None
    current: float | None
    total: float | None
    stage: str | None
    stages: tuple[tuple[str, float | None, float | None, float | None], ...]
    skipped: tuple[str, ...]
    message: str | None
    logs: tuple[Line, ...]
    looped: tuple[str, ...] = ()


def report(record: Record, now: float, new: Report) -> Record:
    """Take in a handle's report; an older or repeated one changes nothing.

    Raises:
        ProgressConflict: The operation has ended, or another writer has taken it over.
    """
    still_open(record, new.epoch)
    if record.writer != new.writer:
        raise ProgressConflict(f"operation {record.id!r} was taken over by another writer")
    if new.sequence <= record.state.sequence:
        return record
    made = record
    ended = {each.name for each in record.state.stages if each.status.is_final}
    for each in new.skipped:
        made = made if each in ended else skip_stage(made, now, each)
    for stage, percent, current, total in new.stages:
        made = update(made, now, percent, stage)
        if current is not None:
            made = count(made, now, current, total, stage)
    if new.percent is not None:
        made = update(made, now, new.percent)
    if new.current is not None and not made.state.stages:
        made = count(made, now, new.current, new.total, None)
    state = replace(
        made.state,
        message=made.state.message if new.message is None else new.message,
        logs=new.logs,
        sequence=new.sequence,
        looped=new.looped,
        total=made.state.total if new.total is None else new.total,
    )
    return alive(made, state, now)
