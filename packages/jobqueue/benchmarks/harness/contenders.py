"""Who takes part: this package, its peers and the floors, each with its settings."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Backend = Literal["redis", "postgres", "sqlite", "memory"]
Variant = Literal["default", "tuned"]
BACKENDS: Final[tuple[Backend, ...]] = ("redis", "postgres", "sqlite", "memory")
OURS: Final = "jobqueue"
RAW: Final = "raw"


@dataclass(frozen=True)
class Peer:
    """A library that takes part.

    Attributes:
        name: As its makers write it; its script is ``peers/on_NAME.py``.
        backend: Where its jobs wait.
        requirements: What is installed for it, the library first; nothing for ourselves.
        imports: What an application writes to have it, as one statement after the other.
        loses: Whether a crash loses running jobs, with the defaults, with the tuned settings.
        keeps: Whether it can keep results, and whether it can do without.
        has_batches: Whether it has a call to enqueue many jobs.
    """

    name: str
    backend: Backend
    requirements: Sequence[str] = ()
    imports: str = ""
    loses: tuple[bool, bool] = (False, False)
    keeps: Sequence[bool] = (True, False)
    has_batches: bool = True

    @property
    def version(self) -> str:
        """The version that is pinned; empty for what is installed already."""
        return self.requirements[0].partition("==")[2] if self.requirements else ""


@dataclass(frozen=True)
class Contender:
    """A peer with one of its settings: one bar of a plot."""

    peer: Peer
    variant: Variant

    @property
    def key(self) -> str:
        """Tells contenders apart."""
        return f"{self.peer.name}-{self.peer.backend}-{self.variant}"

    @property
    def title(self) -> str:
        """What a reader sees."""
        if self.peer.name == RAW:
            return "raw client"
        return self.peer.name if self.variant == "tuned" else f"{self.peer.name}, defaults"

    @property
    def loses(self) -> bool:
        """Whether a crash loses running jobs."""
        return self.peer.loses[self.variant == "tuned"]


_CELERY: Final = "import celery.app.builtins, celery.backends.redis, kombu.transport.redis"
_RIVALS: Final = (
    Peer("arq", "redis", ("arq==0.28.0",), "import arq", has_batches=False),
    # typing-extensions: saq imports it and does not say so
    Peer(
        "saq",
        "redis",
        ("saq[redis,hiredis]==0.26.4", "typing-extensions"),
        "import saq.queue.redis",
        has_batches=False,
    ),
    Peer(
        "taskiq",
        "redis",
        ("taskiq==0.13.0", "taskiq-redis==1.2.4"),
        "import taskiq, taskiq_redis",
        has_batches=False,
    ),
    Peer(
        "dramatiq",
        "redis",
        ("dramatiq[redis]==2.2.1",),
        "import dramatiq, dramatiq.brokers.redis",
        has_batches=False,
    ),
    Peer("rq", "redis", ("rq==3.0.0",), "import rq"),
    Peer("celery", "redis", ("celery[redis]==5.7.0",), _CELERY, (True, False), has_batches=False),
    Peer(
        "huey",
        "redis",
        ("huey==3.5.4", "redis==8.1.0"),
        "import huey",
        (True, True),
        has_batches=False,
    ),
    Peer("streaq", "redis", ("streaq==7.2.0",), "import streaq"),
    Peer(
        "procrastinate",
        "postgres",
        ("procrastinate==3.10.0", "psycopg[binary,pool]==3.3.9"),
        "import procrastinate, psycopg_pool",
    ),
    Peer(
        "pgqueuer",
        "postgres",
        ("pgqueuer[asyncpg]==1.6.0",),
        "import pgqueuer, asyncpg",
        keeps=(True,),
    ),
)
_OWN: Final = "from jobqueue import Job, JobQueue, Worker"
_OWN_IMPORTS: Final[dict[Backend, str]] = {
    "memory": _OWN,
    "redis": f"{_OWN}; JobQueue.from_url('redis://localhost').broker",
    "postgres": f"{_OWN}; JobQueue.from_url('postgresql://localhost/x').broker",
    "sqlite": f"{_OWN}; JobQueue.from_url('sqlite:///x.db').broker",
}
PEER_NAMES: Final = tuple(peer.name for peer in _RIVALS)


def chosen(backends: Iterable[str], peers: Iterable[str]) -> list[Contender]:
    """Return who takes part: ourselves and the floors always."""
    wanted, names = set(backends), set(peers)
    made: list[Contender] = []
    for backend in BACKENDS:
        if backend not in wanted:
            continue
        own = Peer(OURS, backend, imports=_OWN_IMPORTS[backend])
        made += [Contender(own, "tuned"), Contender(own, "default")]
        if backend != "memory":
            made.append(Contender(Peer(RAW, backend, loses=(True, True), keeps=(True,)), "tuned"))
        for peer in _RIVALS:
            if peer.backend == backend and peer.name in names:
                made += [Contender(peer, "tuned"), Contender(peer, "default")]
    return made
