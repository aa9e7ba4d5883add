"""Who knows where users are reached."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ..models import Recipient


class RecipientDirectory(ABC):
    """Knows where users are reached."""

    @abstractmethod
    async def lookup(self, user_id: str, channel: str) -> Recipient | None:
        """Return where ``user_id`` is reached over ``channel``; None if nowhere.

        What it raises is recorded as a failed attempt, and tried again.
        """

    async def lookup_all(self, user_id: str, channel: str) -> Sequence[Recipient]:
        """Return every address of ``user_id`` on ``channel``; override for two phones of one user.

        Each gets every message, and is tried again or dropped by itself. At most 20 are used. What
        it raises is recorded as a failed attempt, and tried again.
        """
        found = await self.lookup(user_id, channel)
        return () if found is None else (found,)

    async def invalid(self, user_id: str, channel: str, recipient: Recipient) -> None:
        """Hear that a provider refused an address for good: a device that is gone, say.

        It is on the suppression list already. What this raises is recorded as a failed attempt.
        """

    async def erase(self, user_id: str) -> None:
        """Forget every address of a user, who is erased; called by ``erase_user``."""

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""
