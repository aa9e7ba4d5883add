"""Getting notifications out: workers, attempts, circuits."""

from .attempts import Parts
from .worker import Worker

__all__ = ["Parts", "Worker"]
