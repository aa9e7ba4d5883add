"""From values to the bytes of the shared level and back."""

from .envelope import Codec, Loaded

__all__ = ["Codec", "Loaded"]
