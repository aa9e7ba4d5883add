"""What could stand in place of a key of the settings that nobody knows."""

import difflib
import re

import msgspec

_UNKNOWN = re.compile(r"Object contains unknown field `([^`]*)`(?: - at `\$(.*)`)?")
_STRUCT = msgspec.inspect.StructType
_NESTED = (_STRUCT, msgspec.inspect.DictType)


def instead_of(message: str, settings: type) -> str:
    """Return what could stand in place of an unknown key; nothing for other faults."""
    found = _UNKNOWN.fullmatch(message)
    if found is None:
        return ""
    at = msgspec.inspect.type_info(settings)
    for step in re.findall(r"\.\w+|\[[^]]*\]", found[2] or ""):
        at = _inside(at, step)
    at = _inside(at, "")
    known = [each.encode_name for each in at.fields] if isinstance(at, _STRUCT) else []
    near = difflib.get_close_matches(found[1], known, 1, 0.7)
    return f": did you mean {near[0]!r}?" if near else f": there are {', '.join(known) or 'none'}"


def _inside(at: msgspec.inspect.Type, step: str) -> msgspec.inspect.Type:
    """Return the type that a step of a path leads to; itself, without its alternatives, for ''."""
    if isinstance(at, msgspec.inspect.UnionType):
        at = next((each for each in at.types if isinstance(each, _NESTED)), at)
    if isinstance(at, _STRUCT) and step:
        return next((each.type for each in at.fields if f".{each.encode_name}" == step), at)
    if isinstance(at, msgspec.inspect.DictType) and step:
        return at.value_type
    return at
