"""The twin of ``tqdm.contrib.logging``: log lines above the bars."""

from functools import partial
from typing import Any

from ..._common.extras import require
from .. import tqdm

_logging: Any = require("tqdm.contrib.logging", dist="progress-tracker", extra="tqdm")

logging_redirect_tqdm = partial(_logging.logging_redirect_tqdm, tqdm_class=tqdm)
tqdm_logging_redirect = partial(_logging.tqdm_logging_redirect, tqdm_class=tqdm)
