"""What a job does in its thread, and can do again."""

from .batch import Batch, Log, Member
from .drafts import Blob
from .single import Recipe, Single, again_if_lost, describe

__all__ = ["Batch", "Blob", "Log", "Member", "Recipe", "Single", "again_if_lost", "describe"]
