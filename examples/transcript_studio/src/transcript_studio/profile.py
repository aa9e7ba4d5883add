"""Where the libraries keep their data: files of one machine, or servers that several share.

Every process of the studio (web, workers, the demo) is told the same. The environment says it:

``STUDIO_PROFILE``
    ``embedded`` (the default) or ``servers``.
``STUDIO_DATA``
    The folder of uploads, transcripts and exported files, which all processes share.
``STUDIO_MAIL``
    A mail server, ``smtp://127.0.0.1:2525?security=none``; none if unset.
``STUDIO_REDIS_URL``
    ``redis://…``: progress and cache.
``STUDIO_POSTGRES_URL``
    ``postgresql://…``, with pgvector: jobs, notifications, exports, search.
``STUDIO_AMQP_URL``
    ``amqp://…``: RabbitMQ, which wakes Celery's workers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .errors import BadProfile

_DATA: Final = "studio-data"
_SERVERS: Final = ("STUDIO_REDIS_URL", "STUDIO_POSTGRES_URL", "STUDIO_AMQP_URL")


@dataclass(frozen=True, slots=True)
class Profile:
    """The URLs of the six libraries.

    Attributes:
        folder: Of uploads, transcripts and exported files; made if missing.
        progress: Of progress-tracker.
        notifications: Of notify.
        jobs: Of jobqueue.
        job_store: Of what keeps the jobs where ``jobs`` only carries messages, else None.
        cache: Of tiered-cache.
        exports: Of exporter's history.
        search: Of semsearch.
        words: The keyword index of semsearch: in the memory of each process, or shared as the rest.
        mail: Where notifications are mailed to; no mail if None.
        environ: What tells a child process the same.
    """

    folder: Path
    progress: str
    notifications: str
    jobs: str
    job_store: str | None
    cache: str
    exports: str
    search: str
    words: str
    mail: str | None
    environ: Mapping[str, str]

    @classmethod
    def embedded(cls, folder: Path, *, mail: str | None = None) -> "Profile":
        """Keep everything in SQLite files in ``folder``."""

        def sqlite(name: str) -> str:
            return f"sqlite:///{folder.absolute().as_posix()}/{name}.db"

        return cls(
            folder=folder,
            progress=sqlite("progress"),
            notifications=sqlite("notifications"),
            jobs=sqlite("jobs"),
            job_store=None,
            cache=sqlite("cache"),
            exports=sqlite("exports"),
            search=sqlite("search"),
            words="bm25",
            mail=mail,
            environ={"STUDIO_PROFILE": "embedded", **_common(folder, mail)},
        )

    @classmethod
    def servers(
        cls, folder: Path, *, redis: str, postgres: str, amqp: str, mail: str | None = None
    ) -> "Profile":
        """Keep everything but files on servers; any number of web and worker processes."""
        told = dict(zip(_SERVERS, (redis, postgres, amqp), strict=True))
        return cls(
            folder=folder,
            progress=redis,
            notifications=postgres,
            jobs=f"celery+{amqp}",
            job_store=postgres,
            cache=redis,
            exports=postgres,
            search=postgres,
            words=postgres,
            mail=mail,
            environ={"STUDIO_PROFILE": "servers", **_common(folder, mail), **told},
        )

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str], *, folder: Path | None = None, mail: str | None = None
    ) -> "Profile":
        """Return what the environment names; ``folder`` and ``mail`` come before it.

        Raises:
            BadProfile: There is no such profile, or the URL of a server is missing.
        """
        folder = folder or Path(environ.get("STUDIO_DATA") or _DATA)
        mail = mail or environ.get("STUDIO_MAIL") or None
        name = environ.get("STUDIO_PROFILE") or "embedded"
        if name == "embedded":
            return cls.embedded(folder, mail=mail)
        if name != "servers":
            raise BadProfile(f"STUDIO_PROFILE must be embedded or servers, not {name!r}")
        if missing := [each for each in _SERVERS if not environ.get(each)]:
            raise BadProfile(f"STUDIO_PROFILE=servers needs {', '.join(missing)}")
        redis, postgres, amqp = (environ[each] for each in _SERVERS)
        return cls.servers(folder, redis=redis, postgres=postgres, amqp=amqp, mail=mail)

    @property
    def is_celery(self) -> bool:
        """Whether the workers are Celery's."""
        return self.job_store is not None


def _common(folder: Path, mail: str | None) -> dict[str, str]:
    return {"STUDIO_DATA": str(folder.absolute()), "STUDIO_MAIL": mail or ""}
