"""The port of L2: bytes that processes share."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from ..errors import UnsupportedOperationError
from .capabilities import Capabilities
from .records import Read, TagVersion, Write


class RemoteTier(ABC):
    """The shared level of a cache (L2): bytes with expiry, fences per key, versions per tag.

    Keys and tags are non-empty str, times seconds (float). Constructors do no I/O: the first call
    connects, ``aclose`` disconnects. Safe for concurrent use within one event loop. Every call may
    raise ``BackendError``.

    Versions are the store's time in microseconds, or one more than the highest that was given
    (``LATEST``), so that they grow whatever the clock does. A tag that was never bumped has the
    version at which the store began to keep versions: a lost version never makes old values valid.
    """

    capabilities: Capabilities = Capabilities()

    @abstractmethod
    async def read(self, keys: Sequence[str], tags: Sequence[str], *, fences: bool = True) -> Read:
        """Return the live values and fences of ``keys`` and the versions of ``tags``.

        ``fences`` says whether fences are asked for; a tier may return them all the same.
        """

    @abstractmethod
    async def write(self, items: Sequence[Write]) -> Sequence[bool]:
        """Store values; return for each whether it was stored: its fence allowed it.

        A call that its caller gave up may still take effect later. Of a value without fence it
        must not then undo what changed its key since.
        """

    @abstractmethod
    async def delete(self, keys: Sequence[str]) -> int:
        """Drop values and move their fences on; return how many values there were."""

    @abstractmethod
    async def bump(self, tags: Sequence[str], *, soft: bool = False) -> Mapping[str, TagVersion]:
        """Give each tag a higher version, atomically, and return them."""

    @abstractmethod
    async def delete_pattern(self, pattern: str) -> int:
        r"""Drop the values whose keys match a glob; return how many.

        ``*``, ``?``, ``[abc]``, ``[a-c]``, ``[^abc]``, and ``\*`` for the character itself, as
        Redis understands them: see ``tiered_cache.keys.glob_matches``. Fences may stay as they are.
        """

    async def list_keys(self, pattern: str, limit: int) -> list[str]:  # noqa: ARG002  overrides need them
        """Return at most ``limit`` of the keys that match a glob.

        Raises:
            UnsupportedOperationError: The tier has no ``patterns``.
        """
        raise UnsupportedOperationError(f"{type(self).__name__} cannot list its keys")

    async def acquire(self, name: str, token: str, ttl: float) -> bool:  # noqa: ARG002  overrides need them
        """Take the lease of ``name`` for ``ttl`` seconds, or renew it if ``token`` has it.

        Returns:
            Whether ``token`` has it now.

        Raises:
            UnsupportedOperationError: The tier has no ``leases``.
        """
        raise UnsupportedOperationError(f"{type(self).__name__} has no leases")

    async def acquire_many(self, leases: Sequence[tuple[str, str]], ttl: float) -> Sequence[bool]:
        """Take or renew leases, each a name and its token; override to save round trips.

        Returns:
            For each whether its token has it now.

        Raises:
            UnsupportedOperationError: The tier has no ``leases``.
        """
        return await asyncio.gather(*(self.acquire(name, token, ttl) for name, token in leases))

    async def release(self, name: str, token: str) -> bool:  # noqa: ARG002  overrides need them
        """Give the lease of ``name`` back; return whether ``token`` had it.

        Raises:
            UnsupportedOperationError: The tier has no ``leases``.
        """
        raise UnsupportedOperationError(f"{type(self).__name__} has no leases")

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""
