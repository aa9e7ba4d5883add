"""The JSON of the web application: camelCase, in the words of the users' specification."""

from datetime import datetime
from typing import Any

import msgspec

from .models import Progress


def to_json(progress: Progress) -> dict[str, Any]:
    """Return ``progress`` with camelCase names, dates as ISO 8601 UTC."""
    made: dict[str, Any] = {
        _camel(name): getattr(progress, name)
        for name in Progress.__dataclass_fields__
        if name not in {"error", "error_type", "stages", "children", "logs"}
    }
    made["error"] = (
        None if progress.error is None else {"message": progress.error, "type": progress.error_type}
    )
    for name in ("stages", "children", "logs"):
        made[name] = _camel_keys(msgspec.to_builtins(getattr(progress, name)))
    return _plain_times(made)


def _plain_times(made: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for key, value in made.items()
    }


def from_json(data: dict[str, Any]) -> Progress:
    """Return the operation of :func:`to_json`; unknown names of newer releases are left out.

    Raises:
        ValueError: It is not one.
    """
    plain = {_snake(key): value for key, value in data.items()}
    error = plain.pop("error", None) or {}
    for name in ("stages", "children"):
        plain[name] = _snake_keys(plain.get(name))
    return msgspec.convert(
        {**plain, "error": error.get("message"), "error_type": error.get("type")}, Progress
    )


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def _camel_keys(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_camel_keys(each) for each in value]
    return {_camel(k): v for k, v in value.items()} if isinstance(value, dict) else value


def _snake_keys(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_snake_keys(each) for each in value]
    return {_snake(k): v for k, v in value.items()} if isinstance(value, dict) else value
