"""What everybody sends: an update, as short as it can be."""

from typing import Any, Final

KIND: Final = "progress"
PATH: Final = "/ws/progress/x"


def event_of(seq: int, text: str, message: str = "") -> dict[str, Any]:
    """Return an update with a message."""
    return {"id": "x", "version": seq, "progress": 10, "message": text + message}
