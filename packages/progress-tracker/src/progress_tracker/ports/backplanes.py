"""The backplane: it rings a bell, and carries no data."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import ClassVar, Self

from .capabilities import Capabilities

Ring = Callable[[Collection[str] | None], None]


class Backplane(ABC):
    """Tells watchers, also of other processes, that operations changed. Carries ids, never data.

    Constructors do no I/O. Safe for concurrent use within one event loop.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    @abstractmethod
    async def publish(self, ids: Collection[str]) -> None:
        """Ring every listener's bell for ``ids``.

        Raises:
            BackendError: The backplane could not be reached; watchers poll meanwhile.
        """

    @abstractmethod
    async def listen(self, ring: Ring, wanted: Callable[[], Collection[str]]) -> None:
        """Begin to call ``ring``; one listener for each adapter object, a second replaces it.

        When this returns, every later change of an id in ``wanted()`` rings, on this event loop.
        After a lost connection ``ring(None)`` says that anything may have changed.

        Args:
            ring: Called with the ids that changed; does not block.
            wanted: The ids that somebody watches now.
        """

    @abstractmethod
    def twin(self) -> "Backplane":
        """Return another adapter to the same backplane, for another event loop."""

    async def aclose(self) -> None:
        """Stop listening and disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""

    async def __aenter__(self) -> Self:
        """Return the backplane itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the backplane."""
        await self.aclose()
