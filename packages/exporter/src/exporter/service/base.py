"""What all parts of the service stand on: its adapters, and what a record looks like to users."""

import logging
from abc import abstractmethod
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Self

from .._common.clock import Clock, NewId, SystemClock, new_id, utc
from .._common.home import at_home
from .._common.lifecycle import Adapter, Service, part
from ..errors import (
    ExportCancelled,
    ExportError,
    ExportNotFound,
)
from ..formats import Formats
from ..links import Claim, LinkSigner
from ..models import (
    ExportJob,
    ExportStatus,
)
from ..ports import Executor, HistoryStore, JobRecord, Loader, Storage
from ..records import storable, to_job
from ..registry import history_from_url, storage_from_url
from ..running import Counts, Runner
from ..settings import Settings

logger = logging.getLogger(__name__)


@dataclass
class Parts:
    """The adapters of a built service, and who works with them."""

    storage: Storage
    history: HistoryStore
    runner: Runner
    signer: LinkSigner


class ServiceBase(Service[Settings, Parts]):
    """Construction, configuration, and the view of single records."""

    settings_type = Settings
    durable_example = "file:///var/exports"

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        storage: Storage | None = None,
        history: HistoryStore | None = None,
        executor: Executor | None = None,
        clock: Clock | None = None,
        new_id: NewId = new_id,
    ) -> None:
        """Make a service; no I/O.

        Args:
            settings: How it works; found in the environment at the first operation if None.
            storage: A ready storage, in place of the one that the settings name.
            history: A ready history, in place of the one that the settings name.
            executor: A job queue whose workers run the exports of sources that have a loader; None
                runs them here.
            clock: For the times of jobs, leases and links.
            new_id: Makes the ids of jobs; must be unguessable.

        Raises:
            ConfigurationError: What was given is no such part.
        """
        super().__init__(settings)
        self.clock: Clock = clock or SystemClock()
        self._new_id = new_id
        self._storage = part("storage", storage, Storage)
        self._history = part("history", history, HistoryStore)
        self._executor = part("executor", executor, Executor)
        self._formats, self._loaders = Formats(), dict[str, Loader]()
        self._counts = Counts()
        self._warned = False

    @classmethod
    def from_url(cls, url: str, *, history: str = "memory://", **kwargs: Any) -> Self:
        """Return a service on a storage and a history by their URLs.

        Args:
            url: ``file:///absolute``, ``file:relative`` or ``memory://``.
            history: ``memory://``, ``sqlite:///history.db`` or ``postgresql://…``.
            kwargs: As for the constructor.

        Raises:
            ConfigurationError: A URL has no scheme. Whether the scheme is known turns out at the
                first operation.
        """
        mapping = {"storage": {"url": url}, "history": {"url": history}}
        escaped = {part: {"url": at["url"].replace("$", "$$")} for part, at in mapping.items()}
        return cls(Settings.from_mapping(escaped), **kwargs)

    @property
    def storage(self) -> Storage:
        """The storage in use."""
        return self._parts.storage

    @property
    def history(self) -> HistoryStore:
        """The history in use."""
        return self._parts.history

    def _is_volatile(self) -> bool:
        return False  # _build knows better what will be lost, and says so

    def _build(self, settings: Settings) -> Parts:
        storage = self._storage or storage_from_url(settings.storage.resolved_url())
        history = self._history
        if history is None:
            if settings.history.url is None:
                logger.warning(
                    "exporter keeps its list of exports in memory; to keep it, set history.url, "
                    "for example sqlite:///history.db (files: %s)",
                    settings.storage.url or settings.storage.path or "./exports",
                )
            history = history_from_url(settings.history.url or "memory://", clock=self.clock)
        runner = Runner(
            storage, history, settings,
            clock=self.clock, new_id=self._new_id, spawn=self._spawn, counts=self._counts,
        )  # fmt: skip
        return Parts(storage, history, runner, LinkSigner(settings.downloads.signing_keys))

    def _adapters(self, parts: Parts) -> Iterable[Adapter]:
        return (parts.storage, parts.history)

    def _moved(self) -> None:
        super()._moved()
        if self._built is not None:
            self._built.runner.detach()

    async def _closing(self) -> None:
        await self._parts.runner.finish()

    @property
    def _runner(self) -> Runner:
        runner = self._parts.runner
        runner.watch_over(self.cleanup)
        return runner

    @at_home
    async def setup(self) -> None:
        """Create or upgrade the history's tables (servers; embedded ones do it themselves)."""
        await self.history.setup()

    @abstractmethod
    def cleanup(self) -> Coroutine[Any, Any, int]:
        """Delete expired exports; return how many."""

    # -- records ---------------------------------------------------------------------------

    async def _visible(self, job_id: str, user_id: str | None) -> JobRecord | None:
        record = await self._stored(job_id, user_id)
        return None if record is None else await self._current(record)

    async def _current(self, record: JobRecord) -> JobRecord:
        """Return the record, ended first if its process is gone: nobody waits for the dead.

        With an executor its queue delivers the job again: only cleanup ends what it forgot.
        """
        if self._executor is None and await self._runner.ended(record):
            return await self.history.get(record.id) or record
        return record

    async def _stored(self, job_id: str, user_id: str | None) -> JobRecord | None:
        _ = self._runner
        given: object = job_id
        if not isinstance(given, str) or not storable(given):
            return None
        record = await self.history.get(job_id)
        hidden = record is None or (user_id is not None and record.user_id != user_id)
        return None if hidden else record

    async def _known(self, job_id: str, user_id: str | None) -> JobRecord:
        record = await self._visible(job_id, user_id)
        if record is None:
            raise ExportNotFound(f"no export {job_id!r}")
        return record

    async def _finished(self, job_id: str, user_id: str | None) -> JobRecord:
        record = await self._known(job_id, user_id)
        if record.status is ExportStatus.CANCELLED:
            raise ExportCancelled(f"export {job_id!r} was cancelled")
        if record.status is ExportStatus.FAILED:
            raise ExportError(f"export {job_id!r} failed: {record.error}", reason="failed")
        if record.status is not ExportStatus.COMPLETED:
            raise ExportError(f"export {job_id!r} is {record.status}", reason="not_ready")
        return record

    def _shown(self, record: JobRecord) -> ExportJob:
        run = self._parts.runner.runs.get(record.id)
        if run is not None and run.active and record.status is ExportStatus.PROCESSING:
            record.progress = max(record.progress, run.control.progress)
        done = record.status is ExportStatus.COMPLETED and record.key is not None
        path = self.storage.local_path(record.key) if done and record.key else None
        url, expires = None, None
        if done and self.settings.storage.public_url and record.completed_at is not None:
            expires = record.completed_at + record.ttl
            if not self.settings.downloads.token_required:
                url = self._plain_link(record)
            elif self.settings.downloads.signing_keys:
                url = self._url(self._token(record, expires, None))
        moment = utc(expires) if url is not None and expires is not None else None
        return to_job(record, path=path, url=url, expires_at=moment)

    def _token(
        self, record: JobRecord, expires: float, user_id: str | None, *, single_use: bool = False
    ) -> str:
        signer = self._parts.signer
        user = "" if user_id is None else signer.fingerprint(record.id, user_id)
        once = self._new_id() if single_use else ""
        return signer.sign(Claim(record.id, record.key or "", expires, user, once))

    def _url(self, path: str) -> str:
        base = self.settings.storage.public_url
        return f"{base.rstrip('/')}/{path}" if base else path

    def _plain_link(self, record: JobRecord) -> str:
        if not self._warned:
            self._warned = True
            logger.warning(
                "downloads.token_required is off: whoever has the path of an export can read it"
            )
        from urllib.parse import quote

        return self._url(quote(record.key or ""))
