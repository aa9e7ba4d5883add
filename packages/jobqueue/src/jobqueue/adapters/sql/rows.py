"""Between records and rows."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..._common.sql_lanes import Row
from ...errors import BackendError
from ...models import JobStatus
from ...ports import FORMAT, Record
from .tables import FIELDS

logger = logging.getLogger(__name__)
NEWEST = FORMAT + 1
"""The newest format of records that this release can read."""
_parents = msgspec.json.Decoder(tuple[str, ...])
_AT_VERSION = FIELDS.index("version")
_AT_PARENTS = FIELDS.index("depends_on")


def record_of(row: Row) -> Record:
    """Return the record in ``row``, whose values are those of ``FIELDS``.

    Raises:
        BackendError: A later release wrote it, or somebody wrote what no release would.
    """
    values: dict[str, Any] = dict(zip(FIELDS, row, strict=True))
    version = values["version"]
    if isinstance(version, int) and version > NEWEST:
        raise BackendError(
            f"job {values['id']!r} has format {version}; this release reads up to {NEWEST}"
        )
    try:
        if values["depends_on"] != "[]":
            values["depends_on"] = _parents.decode(values["depends_on"])
        else:
            values["depends_on"] = ()
        _check_bytes(values)
        return msgspec.convert(values, Record)
    except (msgspec.DecodeError, TypeError, ValueError) as exc:
        raise BackendError(f"job {str(values['id'])[:200]!r} cannot be read: {exc}") from exc


def claimed_record(names: Sequence[str], row: Row) -> Record:
    """Return the record with these fields of a job that was just claimed.

    For a database that itself sees to it that columns hold what their type says.

    Raises:
        BackendError: Somebody wrote what no release would.
    """
    values: dict[str, Any] = dict(zip(names, row, strict=True))
    try:
        parents = values["depends_on"]
        values["depends_on"] = () if parents == "[]" else _parents.decode(parents)
        return Record(**values)
    except (msgspec.DecodeError, TypeError, ValueError) as exc:
        raise BackendError(f"job {str(values['id'])[:200]!r} cannot be read: {exc}") from exc


def waits_for(depends_on: Any, parent: str) -> bool:
    """Whether the stored list of a job's parents names one; also where it cannot be read."""
    try:
        return parent in _parents.decode(depends_on)
    except (msgspec.DecodeError, TypeError, ValueError):
        return True


def _check_bytes(values: Mapping[str, Any]) -> None:
    """Refuse text: it would be taken for base64."""
    for name in ("data", "result"):
        if isinstance(values[name], str):
            raise TypeError(f"{name} is text")


def readable(rows: list[Row]) -> list[Record]:
    """Return the records in ``rows`` but those that this release cannot read."""
    found: list[Record] = []
    for row in rows:
        try:
            found.append(record_of(row))
        except BackendError as exc:
            logger.warning("sql.record_unreadable", extra={"reason": str(exc)})
    return found


def turn_of(record: Record) -> float:
    """Return what claims are ordered by: least first."""
    if record.aging:
        return record.created_at - record.priority * record.aging
    return -float(record.priority)


def placed(record: Record, now: float) -> Record:
    """Return ``record`` with the broker's time and the status that follows from it."""
    run_at = now + record.delay if record.run_at is None and record.delay > 0 else record.run_at
    delayed = run_at is not None and run_at > now
    status = JobStatus.DELAYED if delayed else JobStatus.PENDING
    return msgspec.structs.replace(record, delay=0.0, created_at=now, run_at=run_at, status=status)


def params_of(record: Record, waits: int, children: int) -> Mapping[str, Any]:
    """Return the values to insert."""
    values: dict[str, Any] = {name: getattr(record, name) for name in FIELDS}
    values["status"] = str(record.status)
    parents = record.depends_on
    values["depends_on"] = msgspec.json.encode(parents).decode() if parents else "[]"
    values["error"] = clean(record.error)
    return {**values, "turn": turn_of(record), "waits": waits, "children": children, "gate": 0}


def clean(text: str | None) -> str | None:
    """Return ``text`` without what a database refuses: NUL and half a surrogate pair."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
