"""The twin of ``tqdm.notebook``."""

from typing import Any

from .._common.extras import require
from .remote import Remote

_notebook: Any = require("tqdm.notebook", dist="progress-tracker", extra="tqdm")


class tqdm(Remote, _notebook.tqdm):  # type: ignore[misc]  # noqa: N801 - tqdm has no types; its name
    """The bar of ``tqdm.notebook``."""


def trange(*args: Any, **kwargs: Any) -> Any:
    """Return ``tqdm(range(*args), **kwargs)``."""
    return tqdm(range(*args), **kwargs)
