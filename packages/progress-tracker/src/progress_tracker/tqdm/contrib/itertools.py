"""The twin of ``tqdm.contrib.itertools``: ``product`` and the like."""

from functools import partial
from typing import Any

from ..._common.extras import require
from ..auto import tqdm

_itertools: Any = require("tqdm.contrib.itertools", dist="progress-tracker", extra="tqdm")


def __getattr__(name: str) -> Any:
    """Return a function of ``tqdm.contrib.itertools`` with our bar."""
    if name.startswith("_"):
        raise AttributeError(name)
    return partial(getattr(_itertools, name), tqdm_class=tqdm)
