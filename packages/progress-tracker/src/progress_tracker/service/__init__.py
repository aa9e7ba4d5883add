"""The tracker: what applications call, one part a module."""

from .creating import Creating
from .tracking import Tracking
from .watching import Watching
from .writing import Writing

__all__ = ["ProgressTracker"]


class ProgressTracker(Creating, Writing, Watching, Tracking):
    """Creates, writes, reads and watches operations.

    Safe for several event loops and threads; callbacks run on the loop that subscribed.
    """
