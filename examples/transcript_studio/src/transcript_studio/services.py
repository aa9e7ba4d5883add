"""The wiring: the only module that constructs the six libraries, all on one folder.

Every process of the studio (web, workers, the demo) calls :func:`build` with the same folder and so
shares one set of SQLite files. To move the studio to servers, change the URLs here.
"""

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
from .library import Library
from .steps.alerting import Addresses
from .steps.exporting import register_sources
from .steps.reading import Reader


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a process of the studio works with."""

    folder: Path
    library: Library
    tracker: ProgressTracker
    queue: JobQueue
    notifications: NotificationService
    cache: CacheProvider
    search: SearchService
    exports: ExportService
    reader: Reader

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


def build(folder: Path, *, mail_url: str | None = None) -> Services:
    """Construct the services of the studio in ``folder``; nothing is opened yet.

    Args:
        folder: Made if missing; holds all data.
        mail_url: Where notifications are mailed to, ``smtp://127.0.0.1:2525?security=none``; no
            mail if None.
    """
    folder.mkdir(parents=True, exist_ok=True)
    library = Library(folder / "library")
    cache = CacheProvider.from_url(_sqlite(folder, "cache"))
    exports = ExportService(
        ExportSettings.from_mapping(
            {
                "storage": {"type": "local", "path": str(folder / "exports")},
                "history": {"url": _sqlite(folder, "exports")},
                "downloads": {"signing_keys": {"k1": _secret(folder)}},
            }
        )
    )
    register_sources(exports, library)
    return Services(
        folder=folder,
        library=library,
        tracker=ProgressTracker.from_url(_sqlite(folder, "progress")),
        queue=JobQueue(
            QueueSettings.from_mapping({"broker": {"connection_string": _sqlite(folder, "jobs")}}),
            middleware=[Correlation()],
        ),
        notifications=_notifications(folder, mail_url),
        cache=cache,
        search=SearchService(
            SearchSettings.from_mapping(
                {
                    "vector_db": {"url": _sqlite(folder, "search")},
                    "embeddings": {"provider": "light"},
                }
            )
        ),
        exports=exports,
        reader=Reader(cache, library),
    )


def _notifications(folder: Path, mail_url: str | None) -> NotificationService:
    mail: dict[str, object] = {"enabled": False}
    if mail_url is not None:
        mail = {"enabled": True, "url": mail_url, "from_address": "Studio <studio@example.com>"}
    settings = {
        "storage": {"connection_string": _sqlite(folder, "notifications")},
        "email": mail,
        "push": {"enabled": False},
    }
    return NotificationService(NotifySettings.from_mapping(settings), directory=Addresses())


def _sqlite(folder: Path, name: str) -> str:
    return f"sqlite:///{folder.absolute().as_posix()}/{name}.db"


def _secret(folder: Path) -> str:
    """Return the key that signs download links, made at the first start."""
    file = folder / "signing-key"
    try:
        with file.open("x", encoding="ascii") as new:
            file.chmod(0o600)
            new.write(secrets.token_urlsafe(32))
    except FileExistsError:
        pass
    return file.read_text(encoding="ascii")
