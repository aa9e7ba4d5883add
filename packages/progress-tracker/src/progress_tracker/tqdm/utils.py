"""The twin of ``tqdm.utils``: what bars are made of, as it is."""

from typing import Any

from .._common.extras import require


def __getattr__(name: str) -> Any:
    """Return what ``tqdm.utils`` has."""
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(require("tqdm.utils", dist="progress-tracker", extra="tqdm"), name)
