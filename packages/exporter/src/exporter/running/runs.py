"""What a process knows of the jobs that it runs, and what it counts."""

from dataclasses import dataclass, field

from ..ports import JobRecord
from ..recipes import Log, Recipe
from ..sink import Control


@dataclass
class Counts:
    """What :class:`exporter.ExportStats` is made of."""

    started: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    bytes_written: int = 0
    watchers: int = 0
    writes: int = 0
    writing: float = 0.0


@dataclass
class Run:
    """A job of this process that has not ended."""

    record: JobRecord
    recipe: Recipe
    control: Control = field(default_factory=Control)
    active: bool = False
    log: Log | None = None
