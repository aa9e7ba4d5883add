"""Running jobs: the worker, where handlers run, the heartbeat and cron."""

from .worker import Worker

__all__ = ["Worker"]
