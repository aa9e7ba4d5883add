"""Tags of a decorated function: of all its results, or of those of some arguments."""

import string
from collections.abc import Sequence
from typing import Any

from ..errors import ConfigurationError


class TagMaker:
    """Fills the arguments of a call into ``user:{user_id}``.

    A tag is written as an f-string would write it, for that is how callers of ``invalidate`` do;
    keys are escaped, because two of them must never meet.
    """

    def __init__(self, tags: Sequence[str], names: Sequence[str]) -> None:
        """Read the templates once; ``names`` are those of the function's parameters.

        Raises:
            ConfigurationError: A tag names no parameter, or a brace is alone.
        """
        self._tags, self._names = tags, names
        filled = [_has_fields(tag, names) for tag in tags]
        self.has_fields = any(filled)

    def of(self, values: Sequence[Any]) -> list[str]:
        """Return the tags of a call whose parameters have these values."""
        named = dict(zip(self._names, values, strict=True))
        return [tag.format_map(named) for tag in self._tags]


def _has_fields(tag: str, names: Sequence[str]) -> bool:
    try:
        parts = list(string.Formatter().parse(tag))
    except ValueError as exc:
        raise ConfigurationError(f"the tag {tag!r} has a brace alone; write {{{{ or }}}}") from exc
    for _, field, spec, conversion in parts:
        if field is not None and (spec or conversion or field not in names):
            raise ConfigurationError(
                f"{{{field}}} in the tag {tag!r} is no parameter of the function"
            )
    return any(field is not None or "{" in text or "}" in text for text, field, _, _ in parts)
