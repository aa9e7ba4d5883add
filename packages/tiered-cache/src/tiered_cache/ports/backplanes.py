"""The port by which processes tell each other what changed."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .records import TagVersion


@dataclass(frozen=True, slots=True)
class Message:
    """What a process tells the others.

    Attributes:
        keys: Keys that were set or deleted, as the shared level names them; ``ALL`` for any.
        tags: Tags that have new versions.
        ready: Keys that a process is done with computing.
        forget_versions: Tags have changed in a way that only the shared level knows.
    """

    keys: Sequence[str] = ()
    tags: Mapping[str, TagVersion] = field(default_factory=dict)
    ready: Sequence[str] = ()
    forget_versions: bool = False


class Backplane(ABC):
    """Tells other processes that something changed; never carries values.

    ``on_message`` is called on the loop that called ``start``; ``on_gap`` whenever messages may
    have been missed: L1 must then be doubted.
    """

    @abstractmethod
    async def start(
        self, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> None:
        """Begin to listen; returns when messages from now on arrive. Idempotent."""

    @abstractmethod
    async def publish(self, message: Message) -> None:
        """Tell the others, not ourselves."""

    @property
    @abstractmethod
    def last_alive(self) -> float:
        """When listening last worked, in the clock's monotonic seconds."""

    async def aclose(self) -> None:
        """Stop listening."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""
