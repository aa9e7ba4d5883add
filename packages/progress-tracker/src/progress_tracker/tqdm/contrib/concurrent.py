"""The twin of ``tqdm.contrib.concurrent``: maps over threads and processes, with a bar here."""

from functools import partial
from typing import Any

from ..._common.extras import require
from ..auto import tqdm

_concurrent: Any = require("tqdm.contrib.concurrent", dist="progress-tracker", extra="tqdm")

thread_map = partial(_concurrent.thread_map, tqdm_class=tqdm)
process_map = partial(_concurrent.process_map, tqdm_class=tqdm)
