"""The tracker: what applications call."""

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Self, TypeVar, overload

from . import checks, rules
from ._common.clock import Clock, NewId, SystemClock, new_id
from ._common.home import at_home, stream_at_home
from ._common.lifecycle import Adapter, Service
from .assembly import Parts, build
from .background import BACKGROUND
from .backlog import Waiting, keep_advance, keep_update
from .creation import new_record, options_of, statuses_of
from .engine import Counters
from .errors import BackendError, ProgressConflict, ProgressNotFound
from .handle import ProgressHandle
from .lane import as_child
from .models import Page, Progress, ProgressOptions, ProgressStatus, Sweep, TrackerStats
from .ports import Backplane, Filters, Position, ProgressStore, Record
from .rules import Rule
from .settings import Settings
from .subscriptions import Callback, subscribe
from .tracking import handle_parameter, wrapped
from .view import to_progress

F = TypeVar("F", bound=Callable[..., Any])
logger = logging.getLogger(__name__)
_HOUSEKEEPING = 60.0


class ProgressTracker(Service[Settings, Parts]):
    """Creates, writes, reads and watches operations.

    Safe for several event loops and threads; callbacks run on the loop that subscribed.
    """

    settings_type = Settings
    durable_example = "sqlite:///progress.db"

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        store: ProgressStore | None = None,
        backplane: Backplane | None = None,
        clock: Clock | None = None,
        new_id: NewId = new_id,
    ) -> None:
        """Make a tracker; no I/O.

        Args:
            settings: How it works; found in the environment at the first operation if None.
            store: A ready store, in place of the one that the settings name.
            backplane: A ready backplane, likewise.
            clock: Decides timestamps, leases and retention.
            new_id: Makes the ids of operations.
        """
        super().__init__(settings)
        self.clock = clock or SystemClock()
        self._given = (store, backplane)
        self._new_id = new_id
        self._counters = Counters()
        self._swept_at: float | None = None

    @classmethod
    def from_url(cls, url: str, **kwargs: Any) -> Self:
        """Return a tracker on the store of ``url``: ``memory://``, ``sqlite:///progress.db``.

        Raises:
            ConfigurationError: The URL has no scheme. Whether the scheme is known turns out at the
                first operation.
        """
        return cls(Settings.from_url(url), **kwargs)

    def _is_volatile(self) -> bool:
        return self._given[0] is None

    def _build(self, settings: Settings) -> Parts:
        store, backplane = self._given
        return build(
            settings,
            store=store,
            backplane=backplane,
            clock=self.clock,
            counters=self._counters,
            make_record=self._record,
            spawn=self._spawn,
        )

    def _adapters(self, parts: Parts) -> Iterable[Adapter]:
        return [each for each in (parts.backplane, parts.store) if each is not None]

    def _moved(self) -> None:
        super()._moved()
        if self._built is not None:
            self._built.hub.reset()

    async def _closing(self) -> None:
        parts = self._parts
        await parts.backlog.flush()
        await asyncio.shield(asyncio.wrap_future(BACKGROUND.submit(parts.lane.aclose())))
        self._swept_at = None

    @property
    def store(self) -> ProgressStore:
        """The store in use."""
        return self._parts.store

    @at_home
    async def setup(self) -> None:
        """Create or upgrade the store's tables (servers; embedded stores do it themselves)."""
        await self._parts.store.setup()

    def schema_sql(self) -> str:
        """Return the store's tables as SQL; empty where it has none."""
        return self._parts.store.schema_sql()

    # -- writing -------------------------------------------------------------------------------

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
        engine = self._parts.engine
        now = self.clock.time()
        made = rules.replace(record, created_at=now, updated_at=now)
        if record.parent_id is not None:
            parent = await engine.patiently(lambda: engine.read(str(record.parent_id)))
            made = as_child(made, parent)
        stored, new = await engine.create(made)
        if not new:
            foreign = made.user_id is not None and stored.user_id != made.user_id
            if not exist_ok or foreign:
                raise ProgressConflict(f"the id {stored.id!r} is taken")
        return stored

    def _record(self, options: ProgressOptions) -> Record:
        return new_record(options, new_id=self._new_id, stale_after=self.settings.stale_after)

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
        await self._write(id, keep_update(share, stage, line, epoch), user_id)

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
        await self._write(id, keep_advance(checks.number(n, "n"), stage, epoch), user_id)

    @at_home
    async def _write(self, id: str, change: Waiting, user_id: str | None) -> None:
        self._keep_house()
        parts, token = self._parts, new_id()

        def rule(record: Record) -> Record:
            return change.rule(record, self.clock.time())

        try:
            await parts.engine.change(
                id, parts.backlog.before(id, rule, token), user_id=user_id, token=token
            )
        except BackendError as exc:
            if not exc.retryable:
                raise
            change.tokens.add(token)
            parts.backlog.keep(id, change)
            if self.settings.on_store_error == "raise":
                raise
            logger.warning("progress.update_delayed", extra={"progress_id": id}, exc_info=exc)
            return
        parts.backlog.done(id)

    @at_home
    async def _end(self, id: str, rule: Rule, user_id: str | None) -> Record:
        self._keep_house()
        parts, token = self._parts, new_id()
        record = await parts.engine.change(
            id, parts.backlog.before(id, rule, token), user_id=user_id, patient=True, token=token
        )
        parts.backlog.done(id)
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
        value = checks.plain(result, "a result")
        await self._end(id, lambda r: rules.complete(r, self.clock.time(), value, epoch), user_id)

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
        await self._end(id, lambda r: rules.fail(r, self.clock.time(), error, epoch), user_id)

    async def cancel(
        self, id: str, *, epoch: int | None = None, user_id: str | None = None
    ) -> None:
        """End an operation as cancelled.

        Raises:
            ProgressNotFound: There is none, or it is another user's.
            ProgressConflict: It has ended, or is in another epoch.
            BackendError: The store failed beyond the retry budget.
        """
        await self._end(id, lambda r: rules.cancel(r, self.clock.time(), epoch), user_id)

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

        The operation's parts, wherever they run, are asked too.

        Raises:
            ProgressNotFound: There is none, or it is another user's.
            ProgressConflict: It has ended.
        """
        record = await self._end(id, lambda r: rules.request_cancel(r, self.clock.time()), user_id)
        self._parts.lane.flag_cancel(id)
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

    # -- reading -------------------------------------------------------------------------------

    @at_home
    async def get(self, id: str, *, user_id: str | None = None) -> Progress:
        """Return an operation.

        Raises:
            ProgressNotFound: There is none, or it is another user's.
            BackendError: The store failed.
        """
        self._keep_house()
        parts = self._parts
        await parts.hub.start()
        return to_progress(await parts.engine.read(id, user_id=user_id, cached=True))

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
            InvalidProgress: ``limit`` or ``status`` is wrong.
            ConfigurationError: The cursor is not one of ours.
        """
        self._keep_house()
        engine = self._parts.engine
        filters = Filters(user_id, statuses_of(status), parent_id, kind)
        count = int(checks.number(limit, "limit", 1, 1000))
        page = await engine.store.list_records(filters, count, cursor)
        found: list[Progress] = []
        for record in page:
            if engine.is_stale(record):
                with contextlib.suppress(ProgressNotFound):
                    found.append(to_progress(await engine.settle(record)))
            else:
                found.append(to_progress(record))
        return Page.of(found, page.next_cursor)

    @at_home
    async def delete(self, id: str, *, user_id: str | None = None) -> bool:
        """Delete an operation with its parts; return whether there was one."""
        return await self._parts.engine.delete(id, user_id)

    @at_home
    async def sweep(self) -> Sweep:
        """Fail what has stalled and delete what was kept long enough, parts with their whole."""
        self._swept_at = self.clock.monotonic()
        return await self._parts.engine.sweep()

    def _keep_house(self) -> None:
        """Sweep in the background, at most once a minute."""
        now = self.clock.monotonic()
        if self._swept_at is None:
            self._swept_at = now  # not in the first moments of a short script
        if self.settings.cleanup.enabled and now - self._swept_at >= _HOUSEKEEPING:
            self._swept_at = now
            self._spawn(self._sweep_quietly(), "progress.sweep")

    async def _sweep_quietly(self) -> None:
        try:
            await self._parts.engine.sweep()
        except BackendError:
            logger.warning("progress.sweep_failed", exc_info=True)

    def get_stats(self) -> TrackerStats:
        """Return this process's figures."""
        counters, built = self._counters, self._built
        outcomes = counters.outcomes
        return TrackerStats(
            operations=counters.operations,
            active=0 if built is None else built.lane.active,
            completed=outcomes.get(ProgressStatus.COMPLETED, 0),
            failed=outcomes.get(ProgressStatus.FAILED, 0),
            cancelled=outcomes.get(ProgressStatus.CANCELLED, 0),
            writes=counters.writes,
            write_seconds=counters.write_seconds,
            store_errors=counters.store_errors,
            watchers=0 if built is None else built.hub.watchers,
        )

    # -- watching ------------------------------------------------------------------------------

    async def watch(
        self,
        id: str,
        since: Position | str | None = None,
        *,
        wait_for_create: float | timedelta = 0,
        user_id: str | None = None,
    ) -> AsyncGenerator[Progress, None]:
        """Yield the current state, then newer ones, and end after the epoch's terminal one.

        ``(epoch, version)`` rises with each; states in between may be skipped, the newest and the
        terminal one never. A slow consumer gets the newest state when it comes back.

        Args:
            id: Which operation.
            since: ``position`` of a state that is known already (also ``"epoch:version"``).
            wait_for_create: Seconds to wait for an operation that does not exist yet.
            user_id: Whose it must be; anybody's if None.

        Raises:
            ProgressNotFound: There is none, it is another user's, or it was deleted meanwhile.
            InvalidProgress: ``since`` is no position.
        """
        place = None if since is None else checks.position(since)
        patience = checks.seconds(wait_for_create, "wait_for_create")
        stream = self._watch(id, place, patience, user_id)
        async with contextlib.aclosing(stream):
            async for record in stream:
                yield to_progress(record)

    @stream_at_home
    async def _watch(
        self, id: str, since: Position | None, patience: float, user_id: str | None
    ) -> AsyncGenerator[Record, None]:
        self._keep_house()
        stream = self._parts.hub.watch(id, since, patience, user_id)
        async with contextlib.aclosing(stream):
            async for record in stream:
                yield record

    def subscribe(
        self,
        id: str,
        callback: Callback,
        *,
        user_id: str | None = None,
        wait_for_create: float | timedelta = 0,
    ) -> Callable[[], None]:
        """Call ``callback`` with the current state and every newer one, on the running loop.

        Args:
            id: Which operation.
            callback: A function or coroutine function. What it raises is logged, once for each
                subscription, and reaches nobody else.
            user_id: Whose it must be; anybody's if None.
            wait_for_create: Seconds to wait for an operation that does not exist yet.

        Returns:
            A function that ends the subscription; it may be called anywhere, also twice.

        Raises:
            RuntimeError: No event loop runs here.
        """
        states = self.watch(id, wait_for_create=wait_for_create, user_id=user_id)
        return subscribe(id, states, callback)

    # -- handles -------------------------------------------------------------------------------

    def track(
        self,
        id: str | None = None,
        options: ProgressOptions | None = None,
        *,
        stages: Sequence[str] | None = None,
        weights: Mapping[str, float] | Sequence[float] | None = None,
        total: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        parent_id: str | None = None,
        kind: str | None = None,
        weight: float | None = None,
        resume: bool = False,
    ) -> ProgressHandle:
        """Return a handle: ``async with tracker.track(…) as p``, or ``with`` in blocking code.

        An operation that has the id already is taken over in its next epoch: from then on writes
        of its former worker are refused.

        Args:
            id: 1 to 200 printable characters; unguessable if None.
            options: All of these as an object, instead of keywords.
            stages: As for :meth:`create`, like all that follow.
            weights: Of the stages.
            total: Units in all.
            metadata: JSON.
            user_id: Whose operation it is.
            parent_id: The operation that it is part of.
            kind: What sort of operation it is.
            weight: Its part of the parent.
            resume: Keep the counts and stages of an operation that is taken over.

        Raises:
            InvalidProgress: An option is out of range.
        """
        given = {
            "id": id, "stages": stages, "weights": weights, "total": total, "metadata": metadata,
            "user_id": user_id, "parent_id": parent_id, "kind": kind, "weight": weight,
        }  # fmt: skip
        return self._parts.lane.handle(options_of("track", options, given), resume=resume)

    @overload
    def tracked(self, function: F, /) -> F: ...
    @overload
    def tracked(
        self,
        /,
        *,
        id: Callable[..., str] | None = None,
        stages: Sequence[str] | None = None,
        weights: Mapping[str, float] | Sequence[float] | None = None,
        total: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        kind: str | None = None,
    ) -> Callable[[F], F]: ...
    def tracked(
        self,
        function: Any = None,
        /,
        *,
        id: Callable[..., str] | None = None,
        stages: Sequence[str] | None = None,
        weights: Mapping[str, float] | Sequence[float] | None = None,
        total: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        kind: str | None = None,
    ) -> Any:
        """Track each call of the decorated function, which may be ``async``, as an operation.

        A parameter that is annotated :class:`ProgressHandle` gets the handle; callers leave it out.

        Args:
            function: The function, where the decorator is used without parentheses.
            id: Makes the operation's id from the call's arguments; unguessable if None.
            stages: As for :meth:`create`, like all that follow.
            weights: Of the stages.
            total: Units in all.
            metadata: JSON.
            user_id: Whose operations they are.
            kind: What sort of operations they are; the function's name.
        """

        def decorate(decorated: Callable[..., Any]) -> Callable[..., Any]:
            slot = handle_parameter(decorated)

            def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> ProgressHandle:
                return self.track(
                    None if id is None else id(*args, **kwargs),
                    stages=stages,
                    weights=weights,
                    total=total,
                    metadata=metadata,
                    user_id=user_id,
                    kind=kind or decorated.__qualname__,
                )

            return wrapped(decorated, begin, slot)

        return decorate if function is None else decorate(function)


def _restarted(record: Record, clock: Clock, stage: str | None) -> Record:
    return rules.restart(record, clock.time(), stage)
