"""Handing one message over: to whom, whether at all, and through which provider."""

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import TemplateError
from ..models import DeliveryStatus, Notification, NotificationPreferences, Recipient
from ..ports import Message
from ..preferences import rate_of
from ..rendering import render, render_digest
from ..stored import Claimed
from ..validation import check_recipient
from .chain import PAUSES, Chain, retry
from .devices import MOST, has_taken, mark_of, together
from .links import Wish
from .parts import Outcome, Parts, Trace
from .suppressing import digest_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Item:
    """A claimed delivery that may go out now, with its notification."""

    claimed: Claimed
    notification: Notification


@dataclass(frozen=True)
class _Address:
    """One of the addresses of the user, and what is left to send there."""

    recipient: Recipient
    digest: str
    items: Sequence[Item]


class Handing:
    """One message to one user over one channel, of one notification or of several.

    Users may have several addresses on a channel, two phones: each gets it, and is tried again, by
    itself.
    """

    def __init__(
        self,
        parts: Parts,
        items: Sequence[Item],
        user: NotificationPreferences | None,
        lease_ends: float,
    ) -> None:
        """Take what goes out.

        Args:
            parts: What attempts need.
            items: Oldest first; several make a digest.
            user: What the user wants.
            lease_ends: When another worker takes over, by the monotonic clock.
        """
        self._parts, self._items, self._user = parts, items, user
        self._several = False
        self._delivery = items[0].claimed.delivery
        self._critical = any(each.notification.priority == "critical" for each in items)
        self.trace = Trace()
        given = parts.channels.get(self._delivery.channel, ())
        self.chain = Chain(parts, given, lease_ends, self.trace)

    async def run(self) -> Outcome:
        """Hand it over, and say how that ended."""
        parts, delivery = self._parts, self._delivery
        if not self.chain:
            why = parts.missing.get(delivery.channel, "not set up")
            return self._end(DeliveryStatus.SUPPRESSED, f"channel_missing: {why}")
        async with asyncio.timeout(parts.settings.timeout):
            found = await parts.directory.lookup_all(delivery.user_id, delivery.channel)
        if not found:
            return self._end(DeliveryStatus.SUPPRESSED, "no_address")
        if len(found) > MOST:
            extra = {"channel": delivery.channel, "user_id": delivery.user_id}
            logger.warning("delivery.too_many_addresses", extra=extra)
        outcomes, fit = list[Outcome](), list[_Address]()
        # an address that is there twice, under two names perhaps, gets it once
        for each in {one.address: one for one in found[:MOST]}.values():
            address = await self._addressed(each)
            outcomes += [address] if isinstance(address, Outcome) else []
            fit += [address] if isinstance(address, _Address) else []
        self._several = len(fit) + len(outcomes) > 1
        if fit and (wait := await self._quota()):
            return self._hold("rate_limit_user", wait)
        for one in fit:
            try:
                outcomes.append(await self._to(one))
            except Exception as exc:  # noqa: BLE001  one address's fault keeps nothing from the others
                what = type(exc).__name__
                self._note("retry", None, what)
                outcomes.append(retry(parts, delivery.attempts, f"{what} was raised", None))
        return together(delivery, outcomes)

    async def _addressed(self, recipient: Recipient) -> _Address | Outcome:
        """Return what is to be sent to an address, or how it ends there without a provider."""
        digest = digest_of(self._delivery.channel, recipient.address)
        left = [each for each in self._items if not has_taken(each.claimed.delivery, digest)]
        if not left:
            return Outcome(DeliveryStatus.DELIVERED, used=False)
        unfit = await self._unfit(recipient, digest)
        return unfit or _Address(recipient, digest, left)

    async def _to(self, address: _Address) -> Outcome:
        """Send what is left for one address."""
        first = len(self.trace)
        try:
            message = await self._render(address)
        except TemplateError as exc:
            return self._end(DeliveryStatus.DEAD, str(exc))
        outcome = await self.chain.send(message, self._delivery.attempts)
        if outcome.status is DeliveryStatus.INVALID:
            await self._prune(address.recipient, address.digest, outcome.reason or "")
        if self._several:
            self._say_where(address, first)
        return outcome

    def _say_where(self, address: _Address, first: int) -> None:
        """Note in the steps from ``first`` on which address they are of."""
        where = [mark_of(each.claimed.delivery, address.digest) for each in address.items]
        steps, self.trace[first:] = self.trace[first:], []
        for at, outcome, provider, detail in steps:
            if outcome == "delivered":
                # each notification of a digest knows the address by a name of its own
                self.trace += [(at, outcome, provider, mark) for mark in where]
            else:
                self.trace.append((at, outcome, provider, f"{where[0]}: {detail}"))

    async def _unfit(self, recipient: Recipient, digest: str) -> Outcome | None:
        """Return how it ends for an address that gets nothing; None for others."""
        if (wrong := check_recipient(recipient)) is not None:
            return self._end(DeliveryStatus.INVALID, wrong)
        why_not = await self._parts.store.suppressed(self._delivery.channel, digest)
        if why_not is not None:
            return self._end(DeliveryStatus.SUPPRESSED, f"suppressed: {why_not}")
        return None

    async def _quota(self) -> float:
        """Count it for the user, once however often it is tried; return how long it must wait."""
        delivery = self._delivery
        wishes = self._parts.layers.effective(self._user)
        rate = rate_of(self._parts.rates, wishes, delivery.channel)
        counted = delivery.attempts > 1 or delivery.reason in PAUSES
        if rate is None or self._critical or counted:
            return 0.0
        now = self._parts.clock.time()
        name = f"sent:{delivery.channel}"
        return await self._parts.store.take(delivery.user_id, name, *rate, now)

    async def _render(self, address: _Address) -> Message:
        delivery, parts, recipient = self._delivery, self._parts, address.recipient
        notes = [each.notification for each in address.items]
        key = _key(address.items, address.digest if self._several else "")
        wish = Wish(delivery.user_id, delivery.channel, notes[0].category)
        wanted = parts.layers.category(notes[0].category).unsubscribe and not self._critical
        link = parts.links.link(wish, parts.clock.time()) if wanted else None
        locale = parts.layers.effective(self._user).locale

        def make() -> Message:
            return (render if len(notes) == 1 else render_digest)(
                notes,
                delivery.channel,
                recipient,
                parts.templates,
                key=key,
                locale=locale,
                base_url=parts.base_url,
                unsubscribe_url=link,
            )

        # a template may take its seconds; others go on meanwhile
        plain = len(notes) == 1 and notes[0].template is None
        return make() if plain else await asyncio.to_thread(make)

    async def _prune(self, recipient: Recipient, digest: str, reason: str) -> None:
        """Remember that the address is no good, and tell whoever keeps addresses."""
        delivery, parts = self._delivery, self._parts
        now = parts.clock.time()
        await parts.store.suppress(delivery.channel, digest, f"refused: {reason}", now)
        await parts.directory.invalid(delivery.user_id, delivery.channel, recipient)

    def _hold(self, reason: str, wait: float) -> Outcome:
        self._note("deferred", None, reason)
        return Outcome(DeliveryStatus.PENDING, reason, self._parts.clock.time() + wait, used=False)

    def _end(self, status: DeliveryStatus, reason: str) -> Outcome:
        self._note(str(status), None, reason)
        return Outcome(status, reason)

    def _note(self, outcome: str, provider: str | None, detail: str | None) -> None:
        self.trace.append((self._parts.clock.time(), outcome, provider, detail))


def _key(items: Sequence[Item], digest: str) -> str:
    """Return a key that is stable over attempts of the same content at the same address.

    Of one notification to a user's only address it is the delivery's id.
    """
    ids = sorted(each.claimed.delivery.id for each in items)
    if len(ids) == 1 and not digest:
        return ids[0]
    return hashlib.sha256("\n".join([*ids, digest]).encode()).hexdigest()[:32]
