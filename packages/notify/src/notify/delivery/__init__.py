"""Getting notifications out: workers, attempts, circuits."""

from .parts import Parts
from .worker import Worker

__all__ = ["Parts", "Worker"]
