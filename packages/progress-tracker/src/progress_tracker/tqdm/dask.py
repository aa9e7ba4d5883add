"""The twin of ``tqdm.dask``."""

from functools import partial
from typing import Any

from .._common.extras import require
from .auto import tqdm

_dask: Any = require("tqdm.dask", dist="progress-tracker", extra="tqdm")

TqdmCallback = partial(_dask.TqdmCallback, tqdm_class=tqdm)
