"""The twin of ``tqdm.autonotebook``."""

from typing import Any

from .._common.extras import require
from .remote import Remote

_autonotebook: Any = require("tqdm.autonotebook", dist="progress-tracker", extra="tqdm")


class tqdm(Remote, _autonotebook.tqdm):  # type: ignore[misc]  # noqa: N801 - tqdm has no types; its name
    """The bar of ``tqdm.autonotebook``."""


def trange(*args: Any, **kwargs: Any) -> Any:
    """Return ``tqdm(range(*args), **kwargs)``."""
    return tqdm(range(*args), **kwargs)
