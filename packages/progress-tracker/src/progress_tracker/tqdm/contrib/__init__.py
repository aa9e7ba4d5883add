"""The twin of ``tqdm.contrib``: ``tenumerate``, ``tzip``, ``tmap``."""

from functools import partial
from typing import Any

from ..._common.extras import require
from ..auto import tqdm

_contrib: Any = require("tqdm.contrib", dist="progress-tracker", extra="tqdm")

tenumerate = partial(_contrib.tenumerate, tqdm_class=tqdm)
tzip = partial(_contrib.tzip, tqdm_class=tqdm)
tmap = partial(_contrib.tmap, tqdm_class=tqdm)


def __getattr__(name: str) -> Any:
    """Return what else ``tqdm.contrib`` has."""
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(_contrib, name)
