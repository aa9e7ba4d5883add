"""What is known of addresses: the suppression list, and what providers report."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._common.home import at_home
from ..errors import ConfigurationError
from ..models import DeliveryStatus
from ..records import with_attempt
from .base import ServiceBase

if TYPE_CHECKING:
    from ..adapters.events import Report

logger = logging.getLogger(__name__)
_TRIES = 5
_LISTED = {"bounced", "complained", "opted_out"}


class Addresses(ServiceBase):
    """Addresses that get nothing any more, and why. The list holds digests, never addresses."""

    @at_home
    async def suppress(self, channel: str, address: str, reason: str = "by hand") -> bool:
        """Send nothing to an address over ``channel`` any more; return whether that is new.

        Raises:
            ConfigurationError: The channel or the address is no text.
        """
        digest = _digest(channel, address)
        return await self.store.suppress(channel, digest, reason, self.clock.time())

    @at_home
    async def unsuppress(self, channel: str, address: str) -> bool:
        """Take an address off the list; return whether it was there.

        Raises:
            ConfigurationError: The channel or the address is no text.
        """
        digest = _digest(channel, address)
        return await self.store.suppress(channel, digest, None, self.clock.time())

    @at_home
    async def suppression(self, channel: str, address: str) -> str | None:
        """Return why an address gets nothing over ``channel``; None if it does.

        Raises:
            ConfigurationError: The channel or the address is no text.
        """
        return await self.store.suppressed(channel, _digest(channel, address))

    @at_home
    async def record_reports(self, reports: "Sequence[Report]") -> int:
        """Bring what providers report into deliveries and the suppression list.

        Returns:
            How many of them spoke of a delivery that is known.
        """
        known = 0
        for each in reports:
            known += await self._amend(each)
            if each.address is None:
                continue
            digest, now = _digest(each.channel, each.address), self.clock.time()
            if each.kind in _LISTED:
                reason = f"{each.kind}: {each.provider} {each.code}".strip()
                await self.store.suppress(each.channel, digest, reason, now)
            elif each.kind == "opted_in":
                await self.store.suppress(each.channel, digest, None, now)
        return known

    async def _amend(self, report: "Report") -> bool:
        """Note a report in its delivery; a second one at the same time is not lost."""
        if report.provider_id is None:
            return False
        for _ in range(_TRIES):
            found = await self.store.find_sent(report.provider, report.provider_id)
            if found is None:
                return False
            was, now = found.history, self.clock.time()
            step = (now, report.kind, report.provider, report.code or None)
            found.history, found.updated_at = with_attempt(was, [step]), now
            if report.kind in {"bounced", "failed"}:
                bounced = report.kind == "bounced"
                found.status = DeliveryStatus.INVALID if bounced else DeliveryStatus.DEAD
            if report.kind != "delivered":
                found.reason = f"{report.kind}: {report.provider} {report.code}".strip()
            if await self.store.amend(found, was):
                extra = {"delivery_id": found.id, "kind": report.kind, "provider": report.provider}
                logger.info("delivery.reported", extra=extra)
                return True
        return False


def _digest(channel: object, address: object) -> str:
    from ..delivery.suppressing import digest_of

    if not isinstance(channel, str) or not isinstance(address, str) or not address.strip():
        raise ConfigurationError("channel and address are texts, and not empty")
    return digest_of(channel, address)
