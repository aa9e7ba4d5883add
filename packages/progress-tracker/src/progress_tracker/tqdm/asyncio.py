"""The twin of ``tqdm.asyncio``: ``async for``, ``as_completed`` and ``gather``."""

from typing import Any

from .._common.extras import require
from .remote import Remote

_asyncio: Any = require("tqdm.asyncio", dist="progress-tracker", extra="tqdm")


class tqdm_asyncio(Remote, _asyncio.tqdm_asyncio):  # type: ignore[misc]  # noqa: N801 - see tqdm
    """A bar for ``for`` and ``async for``."""


tqdm = tqdm_asyncio


def tarange(*args: Any, **kwargs: Any) -> Any:
    """Return ``tqdm(range(*args), **kwargs)``."""
    return tqdm_asyncio(range(*args), **kwargs)


trange = tarange
