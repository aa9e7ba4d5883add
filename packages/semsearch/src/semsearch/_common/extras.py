"""Import optional dependencies where they are needed, and say what to install when absent."""

import importlib
from types import ModuleType

from ..errors import MissingExtraError


def require(module: str, *, dist: str, extra: str) -> ModuleType:
    """Import ``module``, which the extra ``extra`` of ``dist`` installs.

    Args:
        module: Dotted name, for example ``"redis.asyncio"``.
        dist: The distribution that offers the extra, for example ``"tiered-cache"``.
        extra: The name of the extra, for example ``"redis"``.

    Raises:
        MissingExtraError: The library is not installed; the message is the command that does.
        ImportError: The library is there but fails to import; passed on as it is.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name is None or not (module == exc.name or module.startswith(f"{exc.name}.")):
            raise
        raise MissingExtraError(
            f"{exc.name!r} is not installed; run: pip install '{dist}[{extra}]'"
        ) from exc
