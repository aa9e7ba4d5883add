"""Where users are reached, kept in memory."""

from collections.abc import Mapping

from .models import Recipient
from .ports import (
    RecipientDirectory,
)


class MemoryDirectory(RecipientDirectory):
    """Addresses in a dict, for tests and small applications."""

    def __init__(self, addresses: Mapping[tuple[str, str], Recipient | str] | None = None) -> None:
        """Begin with ``{(user_id, channel): address}``."""
        self._known: dict[tuple[str, str], Recipient] = {}
        for (user_id, channel), address in (addresses or {}).items():
            self.set(user_id, channel, address)

    def set(self, user_id: str, channel: str, address: Recipient | str | None) -> None:
        """Remember where ``user_id`` is reached over ``channel``; None forgets it."""
        if address is None:
            self._known.pop((user_id, channel), None)
            return
        made = Recipient(address) if isinstance(address, str) else address
        self._known[user_id, channel] = made

    async def lookup(self, user_id: str, channel: str) -> Recipient | None:
        """Return what :meth:`set` remembered."""
        return self._known.get((user_id, channel))

    async def invalid(self, user_id: str, channel: str, recipient: Recipient) -> None:
        """Forget an address that is no good, unless there is another one by now."""
        if self._known.get((user_id, channel)) == recipient:
            del self._known[user_id, channel]
