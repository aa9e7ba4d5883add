"""The columns that indexes are of, written by each statement that changes what they follow from.

As generated columns PostgreSQL would keep them itself, but it reads their definitions anew for
every statement: a third of the time of one that stores or claims a single job. So the definitions
are put into the statements, once, before they are prepared; most of it is constant then.
"""

import functools
import re
from collections.abc import Mapping

from .tables import DERIVED, GENERATED

_TYPES = {
    "status": "text", "queue": "text", "gate": "smallint", "waits": "int", "children": "smallint",
    "run_at": "float8", "finished_at": "float8", "result_ttl": "float8", "unique_key": "text",
}  # fmt: skip
_SOURCE = re.compile(rf"\b({'|'.join(_TYPES)})\b")
_UPDATE = re.compile(r"UPDATE jobqueue_jobs( j)? SET (.+?)(?= FROM \w+, t WHERE | WHERE )")
_INSERT = re.compile(r"INSERT INTO jobqueue_jobs \(([^)]+)\) (?:VALUES \(|SELECT )")
_SOURCES = {name: set(_SOURCE.findall(GENERATED[name][1])) for name in DERIVED}


@functools.cache
def derived(sql: str) -> str:
    """Return a statement that also keeps the derived columns of the jobs that it writes."""
    if found := _INSERT.search(sql):
        sql = _inserted(sql, found)
    return _UPDATE.sub(_updated, sql)


def _updated(found: "re.Match[str]") -> str:
    alias, text = found.groups()
    new = dict(each.strip().split(" = ", 1) for each in _parts(text)[0])
    row = "" if alias is None else "j."
    more = [
        f"{name} = {_value(name, new, row)}"
        for name, sources in _SOURCES.items()
        if not sources.isdisjoint(new)
    ]
    return ", ".join((found[0], *more))


def _inserted(sql: str, found: "re.Match[str]") -> str:
    values, length = _parts(sql[found.end() :])
    values = [value.strip() for value in values]
    names = [name.strip() for name in found[1].split(",")]
    new = dict(zip(names, values, strict=True))
    nothing = {name: "NULL" for name in _TYPES if name not in new}
    more = [_value(name, nothing | new, "") for name in DERIVED]
    columns, end = found.end(1), found.end() + length
    return (
        f"{sql[:columns]}, {', '.join(DERIVED)}{sql[columns : found.end()]}"
        f"{', '.join((*values, *more))}{sql[end:]}"
    )


def _value(name: str, new: Mapping[str, str], row: str) -> str:
    """Return the definition of a column, of new values where there are some."""

    def source(found: "re.Match[str]") -> str:
        column = found[0]
        return f"CAST({new[column]} AS {_TYPES[column]})" if column in new else f"{row}{column}"

    return _SOURCE.sub(source, GENERATED[name][1])


def _parts(text: str) -> tuple[list[str], int]:
    """Return the expressions of a list, and where it ends: at ``)``, ``FROM`` or with the text.

    Ours have no parentheses and commas in quotes.
    """
    parts: list[str] = []
    depth = start = 0
    for at, char in enumerate(text):
        if depth == 0 and (char == ")" or text.startswith(" FROM ", at)):
            return [*parts, text[start:at]], at
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]], len(text)
