"""Records as rows of the SQL stores."""

import json
from typing import Any

import msgspec

from .._common.sql_lanes import Row
from ..errors import BackendError
from ..models import ProgressStatus
from ..ports import Filters, Kids, Record, State, Write, Written
from ..rules.percent import own_sums, to_units
from .sql_tables import FIELDS, KIDS

_encode = msgspec.json.Encoder().encode
_state_of = msgspec.json.Decoder(State).decode
_ENDS = ("completed", "failed", "cancelled")


def adds(**given: int) -> dict[str, int]:
    """Return what a lift adds to the parent's counts."""
    names = [name.removeprefix("kids_") for name in KIDS if name != "kids_done"]
    return {**{f"add_{name}": given.get(name, 0) for name in names}, "moved": int(bool(given))}


NOTHING = adds()


def ended_by(write: Write) -> dict[str, int]:
    """Return what a write changes in its parent's counts."""
    before, after_ = str(write.was), str(write.record.status)
    counts = {name: (name == after_) - (name == before) for name in _ENDS}
    return adds(**counts) if any(counts.values()) else NOTHING


def own_params(record: Record, lift: str) -> dict[str, Any]:
    """Return what a new own state writes."""
    weight, done, expected = own_sums(record.state)
    return {
        "id": record.id, "lift": lift, "epoch": record.epoch, "revision": record.revision,
        "token": record.token, "status": str(record.status), "updated_at": record.updated_at,
        "completed_at": record.completed_at, "stale_after": record.stale_after,
        "stale_at": record.stale_at, "writer": record.writer,
        "cancel_requested": int(record.cancel_requested), "state": _encode(record.state),
        "part_weight": weight, "part_done": done, "expected": expected,
        "own_units": to_units(record.state.percent),
    }  # fmt: skip


def all_params(record: Record, lift: str = "") -> dict[str, Any]:
    """Return a whole row."""
    kids = {f"kids_{name}": value for name, value in msgspec.structs.asdict(record.kids).items()}
    return {
        **own_params(record, lift), **kids, "version": record.version, "user_id": record.user_id,
        "parent_id": record.parent_id, "ancestors": json.dumps(record.ancestors),
        "kind": record.kind, "weight": record.weight, "metadata": record.metadata,
        "created_at": record.created_at, "units": record.units, "format": record.format,
    }  # fmt: skip


def record_of(row: Row) -> Record:
    """Return the record of a row.

    Raises:
        BackendError: Somebody else wrote what cannot be one.
    """
    plain = dict(zip(FIELDS, row, strict=True))
    try:
        kids = Kids(*(plain.pop(name) for name in KIDS))
        plain["status"] = ProgressStatus(plain["status"])
        plain["ancestors"] = names_of(plain["ancestors"])
        plain["metadata"] = bytes(plain["metadata"])
        plain["cancel_requested"] = bool(plain["cancel_requested"])
        plain["state"] = _state_of(plain["state"])
    except (msgspec.DecodeError, TypeError, ValueError) as exc:
        raise BackendError(f"the stored record of {plain['id']!r} cannot be read: {exc}") from exc
    return Record(**plain, kids=kids)


def names_of(text: str) -> tuple[str, ...]:
    """Return the ancestors that a row names."""
    return tuple(json.loads(text))


def written_of(new: Record, row: Row) -> Record:
    """Return what a write has stored, with what only the server knows."""
    version, revision, status, stale_at, units, *kids = row[: 5 + len(KIDS)]
    return msgspec.structs.replace(
        new,
        version=version,
        revision=revision,
        status=ProgressStatus(status),
        stale_at=stale_at,
        units=units,
        kids=Kids(*kids),
    )


def refused(new: Record, stored: Record | None) -> Written:
    """Return what became of a write that found another revision."""
    return Written(applied=stored is not None and stored.token == new.token, record=stored)


def where_of(filters: Filters) -> tuple[list[str], dict[str, Any]]:
    """Return the conditions of a listing, and their values."""
    plain = {"user_id": filters.user_id, "parent_id": filters.parent_id, "kind": filters.kind}
    params: dict[str, Any] = {name: value for name, value in plain.items() if value is not None}
    where = [f"{name} = :{name}" for name in params]
    if filters.statuses:
        marks = {f"status_{n}": str(each) for n, each in enumerate(filters.statuses)}
        where.append(f"status IN ({', '.join(f':{mark}' for mark in marks)})")
        params |= marks
    return where, params
