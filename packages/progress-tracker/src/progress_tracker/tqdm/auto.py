"""The twin of ``tqdm.auto``."""

from typing import Any

from .._common.extras import require
from .remote import Remote

_auto: Any = require("tqdm.auto", dist="progress-tracker", extra="tqdm")


class tqdm(Remote, _auto.tqdm):  # type: ignore[misc]  # noqa: N801 - tqdm has no types; its name
    """The bar of ``tqdm.auto``."""


def trange(*args: Any, **kwargs: Any) -> Any:
    """Return ``tqdm(range(*args), **kwargs)``."""
    return tqdm(range(*args), **kwargs)
