"""What an operation may become: pure functions from a record to its next own state.

Each returns the record itself where nothing changes. Stores apply the result only if the record
is still the stored one, so that a rule never sees half of another's change.
"""

from collections.abc import Callable

from ..ports import Record
from .endings import cancel, complete, fail, release, request_cancel
from .epochs import restart, take_over
from .stages import replace
from .updates import advance, alive, count, skip_stage, still_open, update

Rule = Callable[[Record], Record]

__all__ = [
    "Rule",
    "advance",
    "alive",
    "cancel",
    "complete",
    "count",
    "fail",
    "release",
    "replace",
    "request_cancel",
    "restart",
    "skip_stage",
    "still_open",
    "take_over",
    "update",
]
