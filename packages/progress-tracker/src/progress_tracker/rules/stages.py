"""Stages: which one runs, and what naming another does to it."""

from typing import Any

import msgspec

from ..errors import InvalidProgress
from ..models import ProgressStatus
from ..ports import Record, Stage, State
from . import checks

replace = msgspec.structs.replace
_RUNNING = ProgressStatus.PROCESSING


def without_stages(record: Record, stage: Any) -> InvalidProgress:
    """Return the error about a stage that is named where there are none."""
    return InvalidProgress(
        f"unknown stage {checks.shown(stage)}: operation {record.id!r} has no stages"
    )


def place_of(state: State, stage: str | None) -> int:
    """Return the index of ``stage``; of the running one, or the first, if None."""
    wanted = stage if stage is not None else state.stage
    for index, each in enumerate(state.stages):
        if each.name == wanted or (wanted is None and not each.skipped):
            return index
    if stage is None:
        return 0
    known = ", ".join(repr(each.name) for each in state.stages)
    raise InvalidProgress(
        f"unknown stage {checks.shown(stage)}; the operation's stages are {known}"
    )


def enter(state: State, place: int, now: float) -> State:
    """Make the stage at ``place`` the running one, unless a later one runs."""
    names = [each.name for each in state.stages]
    running = names.index(state.stage) if state.stage in names else -1
    if place < running:
        return state
    stages = list(state.stages)
    for index in range(place):
        if stages[index].status is _RUNNING:
            stages[index] = ended(stages[index], ProgressStatus.COMPLETED, now)
    one = stages[place]
    if one.status is ProgressStatus.PENDING and not one.skipped:
        stages[place] = replace(one, status=_RUNNING, started_at=one.started_at or now)
    made = tuple(stages)
    if place == running and made == state.stages:
        return state
    current, total = made[place].current, made[place].total
    return replace(state, stage=names[place], stages=made, current=current, total=total, pace=None)


def ended(stage: Stage, status: ProgressStatus, now: float) -> Stage:
    """Return ``stage`` with its end; only a completed one is at 100 percent."""
    percent = 100.0 if status is ProgressStatus.COMPLETED else stage.percent
    return replace(stage, status=status, percent=percent, completed_at=now)


def with_stage(state: State, place: int, stage: Stage) -> State:
    """Return ``state`` with another stage at ``place``."""
    return replace(state, stages=(*state.stages[:place], stage, *state.stages[place + 1 :]))
