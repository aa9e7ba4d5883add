"""Records as the scripts know them: fields of a hash, and the arguments of a write."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ...errors import BackendError
from ...models import ProgressStatus
from ...ports import Kids, Record, State, Written
from ...rules.percent import own_sums, to_units, units_of

_encode = msgspec.json.Encoder().encode
_state_of = msgspec.json.Decoder(State).decode
_STATUS = {str(each): each for each in ProgressStatus}
_FINAL = frozenset(each for each in ProgressStatus if each.is_final)


def write_row(new: Record) -> tuple[Any, ...]:
    """Return what ``write.lua`` takes for one record."""
    weight, done, expected = own_sums(new.state)
    return (
        new.id, new.revision, new.token, new.epoch, new.status, repr(new.updated_at),
        _text(new.completed_at), repr(new.stale_after), _text(new.stale_at), new.writer or "",
        int(new.cancel_requested), _encode(new.state).decode(), weight, str(done), expected,
        to_units(new.state.percent), new.ancestors, new.weight,
    )  # fmt: skip


def created_row(record: Record) -> tuple[Record, tuple[Any, ...]]:
    """Return a new record with its units, and what ``create.lua`` takes for it."""
    units = units_of(record.status, record.state, record.kids)
    made = msgspec.structs.replace(record, units=units)
    weight, done, expected = own_sums(made.state)
    kids = made.kids
    fields: dict[str, Any] = {
        "e": made.epoch, "v": made.version, "n": made.revision, "t": made.token, "s": made.status,
        "w": made.weight, "m": made.metadata.decode(), "at": repr(made.created_at),
        "ua": repr(made.updated_at), "c": _text(made.completed_at), "sa": repr(made.stale_after),
        "x": _text(made.stale_at), "wr": made.writer or "", "cr": int(made.cancel_requested),
        "st": _encode(made.state).decode(), "kw": kids.weight, "kd": str(kids.done),
        "kt": kids.total, "kc": kids.completed, "kf": kids.failed, "kx": kids.cancelled, "u": units,
        "f": made.format, "pw": weight, "pd": str(done), "ex": expected,
        "ou": to_units(made.state.percent),
    }  # fmt: skip
    optional = {"us": made.user_id, "pa": made.parent_id, "ki": made.kind}
    fields |= {name: value for name, value in optional.items() if value is not None}
    if made.ancestors:
        fields["up"] = "\n".join(made.ancestors)
    flat = [each for pair in fields.items() for each in pair]
    return made, (
        made.id, made.token, made.status, made.weight, units, repr(made.created_at),
        made.ancestors, _text(made.completed_at), _text(made.stale_at), made.parent_id or False,
        made.user_id or False, made.kind or False, flat,
    )  # fmt: skip


def record_of(id: str, row: Sequence[Any]) -> Record:
    """Return the record of a row in the order of ``ALL`` in ``common.lua``.

    Raises:
        BackendError: Somebody else wrote what cannot be one.
    """
    try:
        (
            epoch, version, revision, token, status, user, parent, above, kind, weight, metadata,
            at, updated, ended, stale_after, stale, writer, cancel, state, *kids, units, format,
        ) = row  # fmt: skip
        return Record(
            id=id, epoch=int(epoch), version=int(version), revision=int(revision), token=token,
            status=_STATUS[status], user_id=user or None, parent_id=parent or None,
            ancestors=tuple(above.split("\n")) if above else (), kind=kind or None,
            weight=int(weight), metadata=metadata.encode(), created_at=float(at),
            updated_at=float(updated), completed_at=float(ended) if ended else None,
            stale_after=float(stale_after), stale_at=float(stale) if stale else None,
            writer=writer or None, cancel_requested=cancel == "1", state=_state_of(state),
            kids=Kids(*map(int, kids)), units=int(units), format=int(format),
        )  # fmt: skip
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError, ValueError) as exc:
        raise BackendError(f"the stored record of {id!r} cannot be read: {exc}") from exc


def written_of(new: Record, answer: Sequence[Any]) -> Written:
    """Return what became of a write.

    Raises:
        BackendError: What is stored cannot be read.
    """
    outcome, *row = answer
    if outcome == 1:
        version, revision, status, stale, units, *kids = row
        record = msgspec.structs.replace(
            new,
            version=version,
            revision=revision,
            status=_STATUS[status],
            stale_at=float(stale) if stale else None,
            units=units,
            kids=Kids(*map(int, kids)),
        )
        return Written(applied=True, record=record)
    if outcome == 3:
        full = "command not allowed when used memory" in row[0]
        raise BackendError(f"operation {new.id!r}: {row[0][:300]}", retryable=full)
    stored = record_of(new.id, row[0]) if row[0] else None
    return Written(applied=outcome == 2, record=stored)


def _text(value: float | None) -> str:
    return "" if value is None else repr(value)
