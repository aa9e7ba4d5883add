"""The wiring: the only module that constructs the six libraries.

Every process of the studio (web, workers, the demo) calls :func:`build` with the same profile and
so shares one set of data.
"""

import contextlib
import secrets
from dataclasses import dataclass
from pathlib import Path

from exporter import ExportService
from exporter import Settings as ExportSettings
from jobqueue import JobQueue
from jobqueue import Settings as QueueSettings
from notify import NotificationService
from notify import Settings as NotifySettings
from progress_tracker import ProgressTracker
from semsearch import SearchService
from semsearch import Settings as SearchSettings
from tiered_cache import CacheProvider

from .correlation import Correlation
from .errors import BadProfile
from .library import Library
from .profile import Profile
from .steps.alerting import Addresses
from .steps.exporting import register_sources
from .steps.reading import Reader


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a process of the studio works with."""

    profile: Profile
    library: Library
    tracker: ProgressTracker
    queue: JobQueue
    notifications: NotificationService
    cache: CacheProvider
    search: SearchService
    exports: ExportService
    reader: Reader

    async def setup(self) -> None:
        """Make the tables on servers, once before the first start; files make theirs themselves."""
        for service in (self.tracker, self.queue, self.notifications, self.exports):
            await service.setup()

    async def aclose(self) -> None:
        """Finish and disconnect, in the order of dependence."""
        for service in (
            self.queue,
            self.exports,
            self.search,
            self.tracker,
            self.notifications,
            self.cache,
        ):
            await service.aclose()


def build(profile: Profile) -> Services:
    """Construct the services of the studio; no file is opened and nothing connected yet.

    Raises:
        BadProfile: The folder of the data cannot be made.
    """
    try:
        profile.folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        folder = repr(str(profile.folder))
        raise BadProfile(
            f"{folder} cannot be the folder of the data ({exc.strerror}): name another"
        ) from exc
    library = Library(profile.folder / "library")
    cache = CacheProvider.from_url(profile.cache)
    exports = ExportService(
        ExportSettings.from_mapping(
            {
                "storage": {"type": "local", "path": str(profile.folder / "exports")},
                "history": {"url": profile.exports},
                "downloads": {"signing_keys": {"k1": _secret(profile.folder)}},
            }
        )
    )
    register_sources(exports, library)
    return Services(
        profile=profile,
        library=library,
        tracker=ProgressTracker.from_url(profile.progress),
        queue=_queue(profile),
        notifications=_notifications(profile),
        cache=cache,
        search=SearchService(
            SearchSettings.from_mapping(
                {
                    "vector_db": {"url": profile.search},
                    "embeddings": {"provider": "light"},
                    "search": {"keyword": profile.words},
                }
            )
        ),
        exports=exports,
        reader=Reader(cache, library),
    )


def _queue(profile: Profile) -> JobQueue:
    broker = {"connection_string": profile.jobs}
    if profile.job_store is not None:
        broker["store"] = profile.job_store
    return JobQueue(QueueSettings.from_mapping({"broker": broker}), middleware=[Correlation()])


def _notifications(profile: Profile) -> NotificationService:
    mail: dict[str, object] = {"enabled": False}
    if profile.mail is not None:
        mail = {
            "enabled": True,
            "url": profile.mail,
            "from_address": "Studio <studio@example.com>",
        }
    settings = {
        "storage": {"connection_string": profile.notifications},
        "email": mail,
        "push": {"enabled": False},
    }
    return NotificationService(NotifySettings.from_mapping(settings), directory=Addresses())


def _secret(folder: Path) -> str:
    """Return the key that signs download links, made at the first start."""
    file = folder / "signing-key"
    if not file.exists():
        part = folder / f"signing-key.{secrets.token_hex(4)}.part"
        part.touch(mode=0o600)
        part.write_text(secrets.token_urlsafe(32), encoding="ascii")
        # of several processes that start at once, one is first, and all read what it wrote
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(part)
        part.unlink()
    return file.read_text(encoding="ascii")
