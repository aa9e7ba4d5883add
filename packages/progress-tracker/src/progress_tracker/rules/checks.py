"""What may be stored: every value from outside is checked here, before anything is written."""

import contextlib
import math
import numbers
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from ..errors import InvalidProgress
from ..ports import Stage

MAX_NAME = 200
MAX_TEXT = 2000
MAX_METADATA = 64 * 1024
MAX_RESULT = 1024 * 1024
MAX_STAGES = 1000
MAX_NUMBER = 1e15
_MAX_DEPTH = 64


def shown(value: Any) -> str:
    """Return what an error message shows of a wrong value; never raises."""
    try:
        return ascii(value)[:60]
    except Exception:  # noqa: BLE001  a broken __repr__, or an int of thousands of digits
        return f"a {type(value).__name__}"


def is_name(value: Any) -> bool:
    """Whether ``value`` is 1 to 200 printable characters, so that something may be called so."""
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable()


def name(value: Any, what: str) -> str:
    """Return an id or name: 1 to 200 printable characters.

    Raises:
        InvalidProgress: It is not.
    """
    if is_name(value):
        return str(value)
    raise InvalidProgress(
        f"{what} must be 1 to {MAX_NAME} printable characters, not {shown(value)}"
    )


def number(value: Any, what: str, low: float = 0.0, high: float = MAX_NUMBER) -> float:
    """Return a finite number between ``low`` and ``high``, as it is; NumPy's as Python's.

    Raises:
        InvalidProgress: It is not, or it is a bool.
    """
    if not isinstance(value, int | float) and isinstance(value, numbers.Real):
        value = int(value) if isinstance(value, numbers.Integral) else float(value)
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if good and low <= value <= high and math.isfinite(value):
        return value  # type: ignore[no-any-return]  # narrowed by `good`
    raise InvalidProgress(f"{what} must be a number from {low:g} to {high:g}, not {shown(value)}")


def units(value: Any) -> int | float:
    """Return what a loop or a bar has added up, unchecked, as a count that can be stored."""
    plain_value = value
    if type(value) not in {int, float}:
        plain_value = 0.0
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            plain_value = int(value) if isinstance(value, numbers.Integral) else float(value)
    # NaN is not over zero either
    return min(plain_value, MAX_NUMBER) if plain_value > 0 else 0


def epoch(value: Any) -> int | None:
    """Return the epoch that a write is for; None stays None.

    Raises:
        InvalidProgress: It is no whole number.
    """
    if value is None or (
        isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
    ):
        return value
    raise InvalidProgress(f"epoch must be a whole number, not {shown(value)}")


def percent(value: Any) -> float:
    """Return a percent, 0 to 100.

    Raises:
        InvalidProgress: It is not one.
    """
    return float(number(value, "progress", 0.0, 100.0))


def weight(value: Any) -> int:
    """Return a weight of 0.001 to 1000 in thousandths; None is 1.

    Raises:
        InvalidProgress: It is not one.
    """
    return 1000 if value is None else max(1, round(number(value, "a weight", 0.001, 1000.0) * 1000))


def text(value: Any, what: str) -> str | None:
    """Return text for people, cut to 2000 characters; None stays None.

    Raises:
        InvalidProgress: It is no string, or holds lone surrogates.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidProgress(f"{what} must be a string, not {type(value).__name__}")
    cut = value if len(value) <= MAX_TEXT else f"{value[: MAX_TEXT - 1]}…"
    try:
        cut.encode()
    except UnicodeEncodeError:
        raise InvalidProgress(f"{what} holds a lone surrogate") from None
    return cut.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def error_text(error: BaseException | str) -> tuple[str, str | None]:
    """Return the message and class name of what went wrong; never raises."""
    kind = None if isinstance(error, str) else type(error).__qualname__
    try:
        message = str(error)
    except Exception:  # noqa: BLE001  a broken __str__ must not hide that the work failed
        message = "<unprintable error>"
    message = message.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
    return (message[:MAX_TEXT] or str(kind)), kind


def json(value: Any, what: str, limit: int) -> bytes:
    """Return ``value`` as JSON of at most ``limit`` bytes.

    Raises:
        InvalidProgress: It is not JSON (also NaN and infinities), too deep or too long.
    """
    _finite(value, what, _MAX_DEPTH)
    try:
        data = msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise InvalidProgress(f"{what} cannot be JSON: {exc}") from exc
    if len(data) > limit:
        raise InvalidProgress(f"{what} has {len(data)} bytes as JSON, over the limit of {limit}")
    if b"\\u0000" in data:
        raise InvalidProgress(f"{what} holds a NUL character")
    return data


def plain(value: Any, what: str) -> Any:
    """Return ``value`` as JSON gives it back: dicts, lists, strings, numbers.

    Raises:
        InvalidProgress: As for :func:`json`.
    """
    return None if value is None else msgspec.json.decode(json(value, what, MAX_RESULT))


def metadata(value: Any) -> bytes:
    """Return metadata as JSON of at most 64 KiB.

    Raises:
        InvalidProgress: It is no mapping with string keys, or not JSON.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidProgress(f"metadata must be a mapping with string keys, not {shown(value)}")
    return json(dict(value), "metadata", MAX_METADATA)


def _finite(value: Any, what: str, depth: int) -> None:
    # msgspec writes NaN and infinities as null: what comes back would not be what went in
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidProgress(f"{what} cannot be JSON: {value!r} is not a JSON number")
    if isinstance(value, Mapping):
        items: Any = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        items = value
    else:
        return
    if depth == 0:
        raise InvalidProgress(f"{what} is nested deeper than {_MAX_DEPTH}")
    for item in items:
        _finite(item, what, depth - 1)


def stages(names: Any, weights: Any) -> tuple[Stage, ...]:
    """Return the stages of a new operation.

    Raises:
        InvalidProgress: A name is wrong or given twice, or the weights do not fit the names.
    """
    if names is None:
        if weights:
            raise InvalidProgress("weights need stages")
        return ()
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise InvalidProgress(f"stages must be a list of names, not {shown(names)}")
    if len(names) > MAX_STAGES:
        raise InvalidProgress(f"{len(names)} stages are more than {MAX_STAGES}")
    known = [name(each, "the name of a stage") for each in names]
    if len(set(known)) != len(known):
        twice = next(each for each in known if known.count(each) > 1)
        raise InvalidProgress(f"the name of a stage is given twice: {shown(twice)}")
    return tuple(
        Stage(each, weight=part) for each, part in zip(known, _weights(known, weights), strict=True)
    )


def _weights(names: Sequence[str], weights: Any) -> list[int]:
    if weights is None:
        return [1000] * len(names)
    if isinstance(weights, Mapping):
        if unknown := sorted(str(key) for key in weights.keys() - set(names)):
            raise InvalidProgress(f"a weight is given for the unknown stage {shown(unknown[0])}")
        return [weight(weights.get(each)) for each in names]
    if isinstance(weights, str) or not isinstance(weights, Sequence) or len(weights) != len(names):
        raise InvalidProgress(
            f"weights must be a mapping, or {len(names)} numbers like the stages, "
            f"not {shown(weights)}"
        )
    return [weight(each) for each in weights]


def seconds(value: float | timedelta, what: str) -> float:
    """Return a duration in seconds, not negative.

    Raises:
        InvalidProgress: It is not one.
    """
    plain_value = value.total_seconds() if isinstance(value, timedelta) else value
    return float(number(plain_value, what, 0.0, 1e9))


def position(value: Any) -> tuple[int, int]:
    """Return ``(epoch, version)`` from such a pair or from ``"epoch:version"``.

    Raises:
        InvalidProgress: It is neither.
    """
    parts: Any = value.split(":") if isinstance(value, str) else value
    try:
        epoch, version = (int(each) for each in parts)
    except (TypeError, ValueError, OverflowError):
        raise InvalidProgress(f"a position is (epoch, version), not {shown(value)}") from None
    return epoch, version
