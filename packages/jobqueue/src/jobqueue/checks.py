"""What callers give, checked: names and ids, numbers, the options of handlers."""

from collections.abc import Mapping
from typing import Any

from . import backoff
from .errors import ConfigurationError
from .models import Job

_MAX_NAME = 200


def id_of(value: Any) -> str:
    """Return the id of a job that is given by its id, or as the :class:`Job` itself.

    Raises:
        ConfigurationError: It is neither.
    """
    return check_name(value.id if isinstance(value, Job) else value, "a job's id")


def check_name(value: Any, what: str) -> str:
    """Return a name or id: 1 to 200 printable characters.

    Raises:
        ConfigurationError: It is not.
    """
    if isinstance(value, str) and 0 < len(value) <= _MAX_NAME and value.isprintable():
        return value
    raise ConfigurationError(
        f"{what} must be 1 to {_MAX_NAME} printable characters, not {shown(value)}"
    )


def check_number(value: Any, what: str, low: float, high: float) -> float:
    """Return a finite number between ``low`` and ``high``.

    Raises:
        ConfigurationError: It is not.
    """
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if good and low <= value <= high:  # never true of NaN
        return float(value)
    raise ConfigurationError(
        f"{what} must be a number from {low:g} to {high:g}, not {shown(value)}"
    )


def check_whole(value: Any, what: str, low: int, high: int) -> int:
    """Return a whole number between ``low`` and ``high``.

    Raises:
        ConfigurationError: It is not.
    """
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    raise ConfigurationError(
        f"{what} must be a whole number from {low} to {high}, not {shown(value)}"
    )


def check_slots(queues: Any) -> None:
    """Refuse what does not say how many jobs of which queue run at once.

    Raises:
        ConfigurationError: A name or a number is wrong, or there is no queue.
    """
    if not isinstance(queues, Mapping) or not queues:
        raise ConfigurationError(
            f"queues must be like {{'high': 2, 'default': 4}}, not {shown(queues)}"
        )
    for name, number in queues.items():
        check_name(name, "a queue's name")
        check_whole(number, f"the concurrency of queue {name!r}", 1, 10_000)


def check_handler_options(
    max_attempts: Any, rule: Any, timeout: Any, retry_on: Any, result_ttl: Any
) -> None:
    """Refuse what no job of a handler could use.

    Raises:
        ConfigurationError: An option has the wrong type or is out of range.
    """
    if max_attempts is not None:
        check_whole(max_attempts, "max_attempts", 1, 10_000)
    if rule is not None and not callable(rule):
        backoff.policy(rule)
    if timeout is not None:
        check_number(timeout, "timeout", 1e-3, 1e9)
    if result_ttl is not None:
        check_number(result_ttl, "result_ttl", 0, 1e10)
    good = isinstance(retry_on, list | tuple | set | frozenset)
    if not good or not all(
        isinstance(each, type) and issubclass(each, BaseException) for each in retry_on
    ):
        raise ConfigurationError(
            f"retry_on must be a list of exception classes, not {shown(retry_on)}"
        )


def shown(value: Any) -> str:
    """Return a value for a message: at most 60 characters, whatever it is."""
    try:
        return ascii(value)[:60]
    except Exception:  # noqa: BLE001  also an int of more digits than Python prints
        return f"a {type(value).__name__}"
