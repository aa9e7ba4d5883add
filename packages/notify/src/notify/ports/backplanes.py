"""How processes wake each other."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import ClassVar

from .capabilities import Capabilities


class Backplane(ABC):
    """A doorbell between processes: says whose inbox changed, never carries what.

    A lost ring costs time, not events: listeners read the store from where they stopped.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    @abstractmethod
    async def publish(self, users: Collection[str]) -> None:
        """Ring for ``users``, after the change is stored.

        Raises:
            BackendError: The server could not be reached.
        """

    @abstractmethod
    async def listen(self, heard: Callable[[Collection[str] | None], None]) -> None:
        """Call ``heard`` with the users of each ring (None: anybody) until cancelled.

        Raises:
            BackendError: The server could not be reached; the caller listens again later.
        """

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""
