"""The ports behind the tracker: a store keeps operations, a backplane rings a bell."""

from .backplanes import Backplane, Ring
from .capabilities import Capabilities
from .records import (
    FORMAT,
    WHOLE,
    Beat,
    Created,
    Filters,
    Kids,
    Line,
    Overdue,
    Pace,
    Position,
    Record,
    Stage,
    State,
    Write,
    Written,
)
from .stores import ProgressStore

__all__ = [
    "FORMAT",
    "WHOLE",
    "Backplane",
    "Beat",
    "Capabilities",
    "Created",
    "Filters",
    "Kids",
    "Line",
    "Overdue",
    "Pace",
    "Position",
    "ProgressStore",
    "Record",
    "Ring",
    "Stage",
    "State",
    "Write",
    "Written",
]
