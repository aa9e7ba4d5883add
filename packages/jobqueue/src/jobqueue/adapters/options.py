"""Options in the URLs of brokers."""

from collections.abc import Mapping

from ..errors import ConfigurationError


def number(
    options: Mapping[str, str], name: str, otherwise: float, low: float, high: float
) -> float:
    """Return the option ``name`` as a number, ``otherwise`` if it is not given.

    Raises:
        ConfigurationError: It is no number from ``low`` to ``high``.
    """
    text = options.get(name, str(otherwise))
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:  # never true of NaN
        raise ConfigurationError(f"{name} must be a number from {low:g} to {high:g}, not {text!r}")
    return value
