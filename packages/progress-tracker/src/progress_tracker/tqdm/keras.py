"""The twin of ``tqdm.keras``."""

from functools import partial
from typing import Any

from .._common.extras import require
from .auto import tqdm

_keras: Any = require("tqdm.keras", dist="progress-tracker", extra="tqdm")

TqdmCallback = partial(_keras.TqdmCallback, tqdm_class=tqdm)
