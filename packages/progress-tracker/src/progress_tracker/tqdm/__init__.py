"""tqdm, watchable from anywhere: ``from progress_tracker.tqdm import tqdm``.

The classes are tqdm's own, so they draw and behave as before; each bar is an operation of the
tracker as well. Every module of tqdm has its twin here: ``tqdm.asyncio`` is
``progress_tracker.tqdm.asyncio``. Needs the extra ``tqdm``. Bars in the loop of another bar become
operations once they last for half a second.
"""

from typing import Any

from .._common.extras import require
from .remote import Remote, configure

__all__ = ["configure", "tqdm", "trange"]

_std: Any = require("tqdm.std", dist="progress-tracker", extra="tqdm")


class tqdm(Remote, _std.tqdm):  # type: ignore[misc]  # noqa: N801 - tqdm has no types; its name
    """A bar of the terminal."""


def trange(*args: Any, **kwargs: Any) -> Any:
    """Return ``tqdm(range(*args), **kwargs)``."""
    return tqdm(range(*args), **kwargs)


def __getattr__(name: str) -> Any:
    """Return what else tqdm has."""
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(require("tqdm", dist="progress-tracker", extra="tqdm"), name)
