"""Where users are reached, kept in memory."""

from collections.abc import Mapping, Sequence

from .models import Recipient
from .ports import (
    RecipientDirectory,
)

Addresses = Recipient | str | Sequence[Recipient | str]


class MemoryDirectory(RecipientDirectory):
    """Addresses in a dict, for tests and small applications."""

    def __init__(self, addresses: Mapping[tuple[str, str], Addresses] | None = None) -> None:
        """Begin with ``{(user_id, channel): address}``, or a list of addresses."""
        self._known: dict[tuple[str, str], list[Recipient]] = {}
        for (user_id, channel), address in (addresses or {}).items():
            self.set(user_id, channel, address)

    def set(self, user_id: str, channel: str, address: Addresses | None) -> None:
        """Remember where ``user_id`` is reached over ``channel``; None forgets it.

        Args:
            user_id: Who.
            channel: Over which channel.
            address: One address, or a list: every phone of the user.
        """
        self._known.pop((user_id, channel), None)
        if address is None:
            return
        for each in (address,) if isinstance(address, str | Recipient) else address:
            self.add(user_id, channel, each)

    def add(self, user_id: str, channel: str, address: Recipient | str) -> None:
        """Remember one address more; one that is known stays as it is."""
        made = Recipient(address) if isinstance(address, str) else address
        known = self._known.setdefault((user_id, channel), [])
        if all(each.address != made.address for each in known):
            known.append(made)

    async def lookup(self, user_id: str, channel: str) -> Recipient | None:
        """Return the first of what :meth:`set` remembered."""
        return next(iter(self._known.get((user_id, channel), ())), None)

    async def lookup_all(self, user_id: str, channel: str) -> Sequence[Recipient]:
        """Return all that is remembered; of those who have nothing what :meth:`lookup` says."""
        known = self._known.get((user_id, channel))
        return tuple(known) if known else await super().lookup_all(user_id, channel)

    async def invalid(self, user_id: str, channel: str, recipient: Recipient) -> None:
        """Forget an address that is no good; the user's others stay."""
        known = self._known.get((user_id, channel), [])
        left = [each for each in known if each.address != recipient.address]
        self.set(user_id, channel, left)

    async def erase(self, user_id: str) -> None:
        """Forget the user."""
        for key in [each for each in self._known if each[0] == user_id]:
            del self._known[key]
