"""The command ``tiered-cache``."""

from .commands import main

__all__ = ["main"]
