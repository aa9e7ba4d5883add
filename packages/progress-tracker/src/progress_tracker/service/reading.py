"""``get`` and ``list_progress``."""

import contextlib
from collections.abc import Sequence

from .._common.home import at_home
from ..errors import ProgressNotFound
from ..models import Page, Progress, ProgressStatus
from ..ports import Filters
from ..records import to_progress
from ..rules import checks
from ..rules.creation import optional_name, statuses_of
from ..storing import history
from .housekeeping import Housekeeping


class Reading(Housekeeping):
    """What is known of operations."""

    @at_home
    async def get(self, id: str, *, user_id: str | None = None) -> Progress:
        """Return an operation.

        Raises:
            ProgressNotFound: There is none, or it is another user's.
            BackendError: The store failed.
        """
        self._keep_house()
        parts = self._parts
        await parts.topics.start()
        return to_progress(await parts.operations.read(id, user_id=user_id, cached=True))

    @at_home
    async def learned_weights(
        self, kind: str, stages: Sequence[str] | None = None, *, runs: int = 20
    ) -> dict[str, float]:
        """Return weights for stages by how long those of earlier operations took.

        For ``create`` and ``track``: ``weights=await tracker.learned_weights("import", stages)``.
        Of each stage the median counts. What was deleted is not known any more: see
        ``cleanup.retain_completed``.

        Args:
            kind: Completed operations of this kind are looked at.
            stages: The stages that will be; those nothing is known of get the mean weight. Those
                of the earlier ones if None.
            runs: How many of the newest, 1 to 1000.

        Returns:
            Weights whose mean is 1; empty if nothing is known, which means equal weights.

        Raises:
            InvalidProgress: ``kind``, a stage or ``runs`` is out of range.
            BackendError: The store failed.
        """
        named = checks.name(kind, "kind")
        count = int(checks.number(runs, "runs", 1, 1000))
        names = None if stages is None else [each.name for each in checks.stages(stages, None)]
        found = await history.newest(self._parts.operations.store, named, count)
        return history.weights(found, names)

    @at_home
    async def list_progress(
        self,
        user_id: str | None = None,
        status: ProgressStatus | Sequence[ProgressStatus] | None = None,
        parent_id: str | None = None,
        kind: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Progress]:
        """Return operations, newest first; None means any.

        Args:
            user_id: Whose.
            status: One status or several.
            parent_id: Only the direct children of this operation.
            kind: Only of this sort.
            limit: 1 to 1000.
            cursor: ``next_cursor`` of the page before.

        Raises:
            InvalidProgress: ``limit``, ``status`` or a name is wrong.
            ConfigurationError: The cursor is not one of ours.
        """
        self._keep_house()
        operations = self._parts.operations
        filters = Filters(
            optional_name(user_id, "user_id"),
            statuses_of(status),
            optional_name(parent_id, "parent_id"),
            optional_name(kind, "kind"),
        )
        count = int(checks.number(limit, "limit", 1, 1000))
        page = await operations.store.list_records(filters, count, cursor)
        found: list[Progress] = []
        for record in page:
            if operations.is_stale(record):
                with contextlib.suppress(ProgressNotFound):
                    found.append(to_progress(await operations.settle(record)))
            else:
                found.append(to_progress(record))
        return Page.of(found, page.next_cursor)
