"""Records to test with."""

from typing import Any

import msgspec

from .. import rules
from .._common.clock import new_id
from ..ports import ProgressStore, Record, Write

NOW = 1_750_000_000.0


def record(id: str | None = None, parent: Record | None = None, **fields: Any) -> Record:
    """Return a record to create, with a new id and token unless given."""
    values: dict[str, Any] = {"created_at": NOW, "updated_at": NOW, "token": new_id(), **fields}
    if parent is not None:
        values |= {"parent_id": parent.id, "ancestors": (parent.id, *parent.ancestors)}
    return Record(id=id or new_id(), **values)


async def store_rule(store: ProgressStore, id: str, rule: rules.Rule) -> Record:
    """Apply ``rule`` to the stored record, as the tracker does, and return what is stored."""
    while True:
        base = await store.get(id)
        assert base is not None, f"there is no {id!r}"
        new = rule(base)
        if new is base:
            return base
        named = msgspec.structs.replace(new, token=new_id())
        (written,) = await store.write([Write(named, base.status)])
        if written.applied and written.record is not None:
            return written.record


def percent(value: float, now: float = NOW + 1) -> rules.Rule:
    """Return the rule of an update by percent."""
    return lambda base: rules.update(base, now, value)


def complete(now: float = NOW + 2) -> rules.Rule:
    """Return the rule of a good end."""
    return lambda base: rules.complete(base, now)
