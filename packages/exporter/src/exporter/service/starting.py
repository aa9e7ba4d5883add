"""Jobs begin: a record is stored, and run here or handed to a job queue."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from .._common.home import at_home
from .._common.telemetry import correlation_id, inject
from ..errors import ExportError, InvalidSource
from ..models import ExportJob, ExportStatus
from ..ports import JobRecord
from ..recipes import Recipe, Single, describe
from ..records import check_same, checked_name
from .base import ServiceBase

_LISTING = 300.0  # seconds in which the items of a batch are surely stored


class Starting(ServiceBase):
    """The part of the service that stores jobs and sends them on their way."""

    def _record(self, **fields: Any) -> JobRecord:
        for name in ("user_id", "idempotency_key"):
            checked_name(name, fields[name])
        metadata = inject()
        if (correlation := correlation_id()) is not None:
            metadata["correlation_id"] = correlation
        lease = fields["created_at"] + self.settings.jobs.lease
        return JobRecord(id=self._new_id(), metadata=metadata, lease_until=lease, **fields)

    @at_home
    async def _start(
        self,
        record: JobRecord,
        recipe: Recipe,
        items: Callable[[], Mapping[str, str]] | None = None,
    ) -> ExportJob:
        sent = self._executor is not None and isinstance(recipe, Single)
        if sent:
            self._check_sendable(record, recipe)
        listed = items is not None and self._runner.keeps_items
        if listed and record.lease_until is not None:
            record.lease_until += _LISTING  # else cleanup could take it for left meanwhile
        with self._runner.place():
            stored = await self.history.create(record)
            if stored.id != record.id:
                check_same(stored, record.fingerprint)
                return self._shown(await self._current(stored))
            if listed and items is not None:
                await self.history.add_notes(record.id, items())
            self._counts.started += 1
            shown = self._shown(record)
            if not sent:
                self._runner.start(record, recipe)
        if sent:
            await self._submit(record)
        return shown

    def _check_sendable(self, record: JobRecord, recipe: Recipe) -> None:
        if isinstance(recipe, Single) and (recipe.source.data is not None or not recipe.loader):
            raise InvalidSource(
                "only the id of an export goes through a job queue: give no data, and register a "
                f"loader for {record.source_type!r}"
            )
        record.lease_until = self.clock.time() + self.settings.jobs.queue_timeout

    async def _submit(self, record: JobRecord) -> None:
        assert self._executor is not None
        try:
            await self._executor.submit(record.id)
        except BaseException as exc:
            error = ExportError(f"it could not be queued: {describe(exc)}", reason="interrupted")
            await asyncio.shield(self._runner.interrupt(record.id, error))
            raise

    @at_home
    async def _restart(self, record: JobRecord, recipe: Recipe) -> ExportJob:
        runner, sent = self._runner, False
        record.status, record.error, record.reason = ExportStatus.PENDING, None, None
        record.completed_at = record.delete_at = record.key = None
        record.warnings = []
        if record.items is None:  # finished items stay finished
            record.progress = 0.0
        record.lease_until = self.clock.time() + self.settings.jobs.lease
        if self._executor is not None and record.source_type in self._loaders:
            self._check_sendable(record, recipe)
            sent = True
        with runner.place():
            if record.id in runner.runs or not await runner.save(record):
                raise ExportError(f"export {record.id!r} has just changed", reason="conflict")
            shown = self._shown(record)
            if not sent:
                runner.start(record, recipe)
        if sent:
            await self._submit(record)
        return shown
