"""Track the progress of long-running work, with stages, children and live watching."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._default import tracker
    from .errors import (
        BackendError,
        ConfigurationError,
        InvalidProgress,
        MissingExtraError,
        ProgressCancelled,
        ProgressConflict,
        ProgressError,
        ProgressNotFound,
        UnsupportedOperationError,
    )
    from .handle import ProgressHandle
    from .models import (
        ChildCounts,
        LogLine,
        Page,
        Progress,
        ProgressOptions,
        ProgressStage,
        ProgressStatus,
        Sweep,
        TrackerStats,
    )
    from .ports import Backplane, Capabilities, ProgressStore
    from .service import ProgressTracker
    from .settings import Settings

__all__ = [
    "BackendError",
    "Backplane",
    "Capabilities",
    "ChildCounts",
    "ConfigurationError",
    "InvalidProgress",
    "LogLine",
    "MissingExtraError",
    "Page",
    "Progress",
    "ProgressCancelled",
    "ProgressConflict",
    "ProgressError",
    "ProgressHandle",
    "ProgressNotFound",
    "ProgressOptions",
    "ProgressStage",
    "ProgressStatus",
    "ProgressStore",
    "ProgressTracker",
    "Settings",
    "Sweep",
    "TrackerStats",
    "UnsupportedOperationError",
    "tracker",
]

if not TYPE_CHECKING:
    from ._common.lazy import exports

    __getattr__, __dir__ = exports(
        __name__,
        __all__,
        ("errors", "models", "settings", "ports", "handle", "service", "_default", "sync"),
    )
