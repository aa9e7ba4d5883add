"""``create``."""

from collections.abc import Mapping, Sequence
from typing import Any

from .. import rules
from .._common.home import at_home
from ..errors import ProgressConflict
from ..models import Progress, ProgressOptions
from ..ports import Record
from ..records import to_progress
from ..rules.creation import as_child, options_of
from .housekeeping import Housekeeping


class Creating(Housekeeping):
    """How operations begin."""

    async def create(
        self,
        options: ProgressOptions | None = None,
        *,
        id: str | None = None,
        stages: Sequence[str] | None = None,
        weights: Mapping[str, float] | Sequence[float] | None = None,
        total: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        parent_id: str | None = None,
        kind: str | None = None,
        weight: float | None = None,
        exist_ok: bool = False,
    ) -> Progress:
        """Store a new, pending operation.

        Args:
            options: All of these as an object, instead of keywords.
            id: 1 to 200 printable characters; unguessable if None.
            stages: Names of the stages in order.
            weights: Of the stages, by name or in their order, 0.001 to 1000; 1 each.
            total: Units in all, for ``advance``; of each stage, where there are stages. Children
                count against it.
            metadata: JSON of at most 64 KiB.
            user_id: Whose operation it is.
            parent_id: The operation that it is part of; its owner is taken over.
            kind: What sort of operation it is.
            weight: Its part of the parent, 0.001 to 1000; 1.
            exist_ok: Return the operation that has the id instead of raising.

        Raises:
            ProgressConflict: The id is taken, or the parent has ended.
            ProgressNotFound: There is no such parent.
            InvalidProgress: An option is out of range; nothing was stored.
            BackendError: The store failed beyond the retry budget.
        """
        given = {
            "id": id, "stages": stages, "weights": weights, "total": total, "metadata": metadata,
            "user_id": user_id, "parent_id": parent_id, "kind": kind, "weight": weight,
        }  # fmt: skip
        record = self._record(options_of("create", options, given))
        return to_progress(await self._create(record, exist_ok=exist_ok))

    @at_home
    async def _create(self, record: Record, *, exist_ok: bool) -> Record:
        self._keep_house()
        operations = self._parts.operations
        now = self.clock.time()
        made = rules.replace(record, created_at=now, updated_at=now)
        if record.parent_id is not None:
            parent = await operations.patiently(lambda: operations.read(str(record.parent_id)))
            made = as_child(made, parent)
        stored, new = await operations.create(made)
        if not new:
            foreign = made.user_id is not None and stored.user_id != made.user_id
            if not exist_ok or foreign:
                hint = "" if exist_ok else "; exist_ok=True returns what is there"
                raise ProgressConflict(f"the id {stored.id!r} is taken{hint}")
        return stored
