"""A shared level in a SQLite file, for the processes of one machine, and its polling backplane."""

from .polling import PollingBackplane
from .tier import SQLiteTier

__all__ = ["PollingBackplane", "SQLiteTier"]
