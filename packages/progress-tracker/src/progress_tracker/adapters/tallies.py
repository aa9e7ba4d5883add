"""What writes make of records that are held in Python, for stores whose server cannot say it."""

from collections.abc import MutableMapping, Sequence

import msgspec

from ..models import ProgressStatus
from ..ports import Record, Written
from ..rules.percent import changed, units_of, with_kids

Records = MutableMapping[str, Record]
_PENDING, _PROCESSING = ProgressStatus.PENDING, ProgressStatus.PROCESSING


def created(records: Records, record: Record) -> Record:
    """Put a new record among ``records``, count it in its ancestors, and return it."""
    made = msgspec.structs.replace(record, units=units_of(record.status, record.state, record.kids))
    records[made.id] = made
    lift(records, None, made, made.ancestors, made.created_at)
    return made


def written(records: Records, new: Record) -> Written:
    """Replace an own state among ``records``, if the revision is still the one it was made from."""
    old = records.get(new.id)
    if old is None:
        return Written(applied=False, record=None)
    if old.revision != new.revision:
        return Written(applied=old.token == new.token, record=old)
    keeps = new.status is _PENDING and old.status is _PROCESSING and old.epoch == new.epoch
    status = old.status if keeps else new.status
    made = msgspec.structs.replace(
        new,
        status=status,
        stale_at=old.stale_at if keeps else new.stale_at,
        revision=old.revision + 1,
        version=old.version + 1,
        kids=old.kids,
        units=units_of(status, new.state, old.kids),
    )
    records[new.id] = made
    lift(records, old, made, made.ancestors, new.updated_at)
    return Written(applied=True, record=made)


def lift(
    records: Records, old: Record | None, new: Record | None, ancestors: Sequence[str], now: float
) -> None:
    """Carry a change upwards, until it makes no difference any more."""
    for above in ancestors:
        parent = records.get(above)
        kids = None if parent is None else changed(parent.kids, old, new)
        if parent is None or kids is None or kids == parent.kids:
            return
        old, new = parent, with_kids(parent, kids, now)
        records[above] = new
