"""Batches begin, and go on in another process."""

import asyncio
import dataclasses
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

import msgspec

from .._common.home import at_home, borrow
from .._common.telemetry import correlation_id
from ..documents import Document
from ..engine import Order
from ..errors import ConfigurationError, ExportError, UnsupportedOperationError
from ..filenames import check_filename, with_extension
from ..models import ExportJob, ExportOptions, ExportSource
from ..ports import NOTE_LENGTH, JobRecord
from ..recipes import Batch, Member, Single
from ..records import (
    checked_item,
    checked_metadata,
    checked_ttl,
    filename_of,
    fingerprint_of,
    second,
)
from ..running import BATCH
from ..texts import quoted
from .exporting import Exporting

BatchItem = tuple[ExportSource | Document, str] | tuple[ExportSource | Document, str, ExportOptions]
_MAX_BATCH = 10_000
_LIST, _ITEM = "list-", "item-"


class _Listed(msgspec.Struct, kw_only=True):
    """An item of a batch as the history has it; ``given`` if its data came with the call."""

    name: str
    type: str
    id: str
    format: str
    template: str | None
    include_metadata: bool
    given: bool


class Batches(Exporting):
    """The part of the service that puts many exports into one file."""

    async def export_batch(
        self,
        items: Iterable[BatchItem],
        archive: str = "zip",
        *,
        user_id: str | None = None,
        filename: str = "exports.zip",
        ttl: float | None = None,
        idempotency_key: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        on_progress: Callable[[int, int], Awaitable[None] | None] | None = None,
    ) -> ExportJob:
        """Start a job that puts many exports into one ZIP with a ``manifest.json``.

        An item that fails is reported in the manifest; the others are delivered. Where history and
        storage are durable, finished items are kept until the batch ends: :meth:`recover` and
        :meth:`retry` go on with it in any process, and make only the others.

        Args:
            items: ``(source, format)`` or ``(source, format, ExportOptions)``; at most 10,000.
            archive: ``zip``.
            user_id: As for :meth:`export`.
            filename: What the archive is called.
            ttl: As in :class:`ExportOptions`.
            idempotency_key: As for :meth:`export`.
            metadata: As for :meth:`export`.
            on_progress: Called with how many items are done, and of how many.

        Raises:
            UnsupportedOperationError: There is no such archive.
            ExportError: As for :meth:`export`.
        """
        if archive != "zip":
            raise UnsupportedOperationError(f"no archive {quoted(archive)}; there is 'zip'")
        now, attached = self.clock.time(), checked_metadata(metadata)
        members, prints = [], list[str]()
        given: Any = items
        if not isinstance(given, Iterable) or isinstance(given, str | bytes | Mapping):
            raise ConfigurationError(f"items must be a list, not {type(given).__name__}")
        if on_progress is not None and not callable(on_progress):
            raise ConfigurationError("on_progress must be callable, or None")
        orders = dict[tuple[str, str | None, bool], Order]()
        loop, correlation = asyncio.get_running_loop(), correlation_id()
        for item in items:
            source, format, options = checked_item(item)
            found = self._format(format)
            name = filename_of(source, options, found)
            look = found.name, options.template, options.include_metadata
            if (order := orders.get(look)) is None:
                order = orders[look] = await self._order(found, options, now)
            recipe = Single(source, order, self._loaders.get(source.type), loop, correlation)
            members.append(Member(name, recipe, options.template))
            if idempotency_key is not None:
                prints.append(await asyncio.to_thread(fingerprint_of, source, found.name, options))
            if len(members) > _MAX_BATCH:
                raise ConfigurationError(f"a batch has at most {_MAX_BATCH} items")
        report = None if on_progress is None else borrow(on_progress)
        batch = Batch(members, second(now), self.settings.jobs.max_size, loop, report)
        record = self._record(
            format=archive,
            source_type=BATCH,
            source_id=f"{len(members)} items",
            items=len(members),
            user_id=user_id,
            idempotency_key=idempotency_key,
            fingerprint=hashlib.sha256(repr(prints).encode()).hexdigest(),
            attached=attached,
            filename=check_filename(with_extension(check_filename(filename), archive)),
            content_type="application/zip",
            ttl=checked_ttl(ttl, self.settings.downloads.ttl),
            created_at=now,
        )
        return await self._start(record, batch, items=lambda: listed(members))

    async def _batch_again(self, record: JobRecord) -> Batch:
        """Return how a batch is made that another process began.

        Raises:
            ExportError: Its list of items is not there (``no_source``), or an item that is not
                finished has no loader here.
            UnknownFormat: An item has a format that is not registered here.
        """
        notes: dict[str, str] = {}
        if self.history.capabilities.notes:
            notes = await self._notes(record.id)
        items = [
            item
            for name, text in notes.items()
            if name.startswith(_LIST)
            for item in msgspec.json.decode(text, type=list[_Listed])
        ]
        if not items:
            raise ExportError(
                f"the items of export {record.id!r} are gone: only a durable history and storage "
                "keep them for other processes",
                reason="no_source",
            )
        finished = {int(name.removeprefix(_ITEM)) for name in notes if name.startswith(_ITEM)}
        members = [
            Member(item.name, await self._item_again(item, record, done=number in finished))
            for number, item in enumerate(items, 1)
        ]
        loop = asyncio.get_running_loop()
        return Batch(members, second(record.created_at), self.settings.jobs.max_size, loop)

    @at_home
    async def _notes(self, job_id: str) -> dict[str, str]:
        return await self.history.get_notes(job_id)

    async def _item_again(self, item: _Listed, record: JobRecord, *, done: bool) -> Single:
        if not (done or item.given or item.type in self._loaders):
            raise ExportError(
                f"export {record.id!r} needs a loader for {item.type!r} to go on",
                reason="no_source",
            )
        options = ExportOptions(item.template, item.include_metadata)
        source, found = ExportSource(item.type, item.id), self._format(item.format)
        made = await self._single(source, found, options, record.created_at)
        return dataclasses.replace(made, loader=_gone) if item.given else made


def _gone(_source_id: str) -> NoReturn:
    raise ExportError("its data was given to a process that is gone", reason="no_source")


def listed(members: Sequence[Member]) -> dict[str, str]:
    """Return the items of a batch as notes for the history."""
    texts: list[str] = []
    for member in members:
        source, order = member.recipe.source, member.recipe.order
        item = _Listed(
            name=member.name,
            type=source.type,
            id=source.id.encode("utf-8", "replace").decode(),
            format=order.format.name,
            template=member.template,
            include_metadata=order.include_metadata,
            given=source.data is not None,
        )
        texts.append(json.dumps(msgspec.to_builtins(item)))
    notes, group, length = dict[str, str](), list[str](), 0
    for text in texts:
        if group and length + len(text) > NOTE_LENGTH - 1000:
            notes[f"{_LIST}{len(notes):04d}"] = f"[{','.join(group)}]"
            group, length = [], 0
        group.append(text)
        length += len(text) + 1
    if group:
        notes[f"{_LIST}{len(notes):04d}"] = f"[{','.join(group)}]"
    return notes
