"""``update`` and ``advance``; ``complete``, ``fail``, ``cancel`` and ``restart``."""

import contextlib
import functools
import logging
from typing import Any

from .. import rules
from .._common.clock import Clock, new_id
from .._common.home import at_home
from ..errors import BackendError, ProgressConflict, ProgressError, ProgressNotFound
from ..models import Progress, ProgressStatus
from ..ports import Record
from ..records import to_progress
from ..rules import Rule, checks
from ..storing.kept_updates import KeptChange
from .reading import Reading

logger = logging.getLogger(__name__)


class Writing(Reading):
    """What happens to operations."""

    async def update(
        self,
        id: str,
        progress: float,
        stage: str | None = None,
        *,
        message: str | None = None,
        epoch: int | None = None,
        user_id: str | None = None,
    ) -> None:
        """Set the percent of a stage, or of the whole where there are no stages.

        Smaller percents of the same epoch lose. Without ``stage`` the running stage is meant (the
        first, if none runs); naming a later one completes the earlier ones that ran. While the
        store is down the update is kept and written later, unless ``on_store_error`` is ``raise``.

        Args:
            id: Which operation.
            progress: 0 to 100.
            stage: One of its stages.
            message: A line for people, up to 2000 characters.
            epoch: Refuse the write unless this is the operation's epoch.
            user_id: Whose it must be; anybody's if None.

        Raises:
            ProgressNotFound: There is none, or it is another user's.
            ProgressConflict: It has ended, or is in another epoch.
            InvalidProgress: A value is out of range; nothing was written.
        """
        share, line = checks.percent(progress), checks.text(message, "a message")
        change = KeptChange("update", share, stage, line, checks.epoch(epoch))
        await self._write(id, change, user_id)

    async def advance(
        self,
        id: str,
        n: float = 1,
        stage: str | None = None,
        *,
        epoch: int | None = None,
        user_id: str | None = None,
    ) -> None:
        """Count ``n`` more units, against the ``total`` if there is one.

        Raises:
            ProgressNotFound: There is none, or it is another user's.
            ProgressConflict: It has ended, or is in another epoch.
            InvalidProgress: ``n`` is negative or no number, or the stage is unknown.
        """
        change = KeptChange("advance", checks.number(n, "n"), stage, None, checks.epoch(epoch))
        await self._write(id, change, user_id)

    @at_home
    async def _write(self, id: str, change: KeptChange, user_id: str | None) -> None:
        self._keep_house()
        _may_exist(id)
        parts, token = self._parts, new_id()
        if parts.kept.is_hopeless(id):
            parts.kept.keep(id, change)
            self._delayed(id, BackendError("the store does not answer", retryable=True))
            return
        try:
            await self._changed(id, lambda r: change.apply(r, self.clock.time()), user_id, token)
        except BackendError as exc:
            if not exc.retryable:
                raise
            parts.kept.keep(id, change, token)
            self._delayed(id, exc)

    def _delayed(self, id: str, exc: BackendError) -> None:
        """Say that an update waits for the store, in the way that the settings want."""
        if self.settings.on_store_error == "raise":
            raise exc
        logger.warning("progress.update_delayed", extra={"progress_id": id}, exc_info=exc)

    @at_home
    async def _end(self, id: str, rule: Rule, user_id: str | None) -> Record:
        self._keep_house()
        _may_exist(id)
        return await self._changed(id, rule, user_id, new_id(), patient=True)

    async def _changed(
        self, id: str, rule: Rule, user_id: str | None, token: str, *, patient: bool = False
    ) -> Record:
        """Store what waits for the operation and ``rule`` on top, as the write ``token``."""
        parts = self._parts
        whole = parts.kept.before(id, rule, token)
        try:
            record = await parts.operations.change(
                id, whole, user_id=user_id, patient=patient, token=token
            )
        except BackendError:
            raise
        except ProgressError:
            parts.kept.refused(id, token)
            raise
        parts.kept.done(id, token)
        return record

    async def complete(
        self,
        id: str,
        result: Any | None = None,
        *,
        epoch: int | None = None,
        user_id: str | None = None,
    ) -> None:
        """End an operation well: every stage completed, 100 percent.

        Args:
            id: Which operation.
            result: Anything that JSON can hold, up to 1 MiB.
            epoch: Refuse the write unless this is the operation's epoch.
            user_id: Whose it must be; anybody's if None.

        Raises:
            ProgressNotFound: There is none, or it is another user's.
            ProgressConflict: It has ended, or is in another epoch.
            InvalidProgress: The result is not JSON.
            BackendError: The store failed beyond the retry budget.
        """
        value, mark = checks.plain(result, "a result"), checks.epoch(epoch)
        await self._end(id, lambda r: rules.complete(r, self.clock.time(), value, mark), user_id)

    async def fail(
        self,
        id: str,
        error: BaseException | str,
        *,
        epoch: int | None = None,
        user_id: str | None = None,
    ) -> None:
        """End an operation badly; its running stage is marked failed.

        A :class:`ProgressCancelled` ends it as cancelled. Only the message and the class of
        ``error`` are stored, never a traceback.

        Raises:
            ProgressNotFound: There is none, or it is another user's.
            ProgressConflict: It has ended, or is in another epoch.
            BackendError: The store failed beyond the retry budget.
        """
        mark = checks.epoch(epoch)
        await self._end(id, lambda r: rules.fail(r, self.clock.time(), error, mark), user_id)

    async def cancel(
        self, id: str, *, epoch: int | None = None, user_id: str | None = None
    ) -> None:
        """End an operation as cancelled.

        Raises:
            ProgressNotFound: There is none, or it is another user's.
            ProgressConflict: It has ended, or is in another epoch.
            BackendError: The store failed beyond the retry budget.
        """
        mark = checks.epoch(epoch)
        await self._end(id, lambda r: rules.cancel(r, self.clock.time(), mark), user_id)

    async def restart(
        self, id: str, stage: str | None = None, *, user_id: str | None = None
    ) -> Progress:
        """Open an ended operation again, in its next epoch.

        Counters and completed stages are kept; the failed stage, or ``stage`` and all after it,
        are pending again.

        Raises:
            ProgressNotFound: There is none, or it is another user's.
            ProgressConflict: It has not ended.
            InvalidProgress: The stage is unknown.
        """
        rule = functools.partial(_restarted, clock=self.clock, stage=stage)
        return to_progress(await self._end(id, rule, user_id))

    async def skip_stage(self, id: str, stage: str, *, user_id: str | None = None) -> None:
        """Leave a stage out; the others share its weight.

        Raises:
            ProgressNotFound: There is none, or it is another user's.
            ProgressConflict: The operation or the stage has ended.
            InvalidProgress: The stage is unknown.
        """
        await self._end(id, lambda r: rules.skip_stage(r, self.clock.time(), stage), user_id)

    async def request_cancel(self, id: str, *, user_id: str | None = None) -> None:
        """Ask the worker to stop: its next update raises :class:`ProgressCancelled`.

        The operation's parts, wherever they run, are asked too. If the worker is gone, who takes
        the operation over by ``track`` is told instead.

        Raises:
            ProgressNotFound: There is none, or it is another user's.
            ProgressConflict: It has ended.
        """
        record = await self._end(id, lambda r: rules.request_cancel(r, self.clock.time()), user_id)
        self._parts.flusher.flag_cancel(id)
        if record.kids.total:
            await self._cancel_parts(id)

    async def _cancel_parts(self, id: str) -> None:
        cursor: str | None = None
        active = [ProgressStatus.PENDING, ProgressStatus.PROCESSING]
        while True:
            page = await self.list_progress(parent_id=id, status=active, limit=500, cursor=cursor)
            for each in page:
                with contextlib.suppress(ProgressConflict, ProgressNotFound):  # it ended by itself
                    await self.request_cancel(each.id)
            if (cursor := page.next_cursor) is None:
                return


def _restarted(record: Record, clock: Clock, stage: str | None) -> Record:
    return rules.restart(record, clock.time(), stage)


def _may_exist(id: Any) -> None:
    if not checks.is_name(id):
        raise ProgressNotFound(f"no operation {checks.shown(id)}")
