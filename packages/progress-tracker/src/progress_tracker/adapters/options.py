"""Options of URLs."""

import math
from collections.abc import Mapping

from ..errors import ConfigurationError


def number(
    options: Mapping[str, str], name: str, default: float, least: float, most: float
) -> float:
    """Return the option ``name`` as a number.

    Raises:
        ConfigurationError: It is none, or out of its range.
    """
    text = options.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise ConfigurationError(f"{name} must be {least:g} to {most:g}, not {text!r}")
    return value
