"""Trying the providers of a channel in their order, until one takes the message."""

import asyncio
from collections.abc import Sequence

from .._common.telemetry import span
from ..errors import ChannelError
from ..models import DeliveryStatus
from ..ports import Channel, Message
from .parts import Outcome, Parts, Trace

# why nobody was called: it was counted for the user, and is no attempt
_ASKED, _OPEN, _LIMITED = "asked_to_wait", "circuit_open", "rate_limit_provider"
PAUSES = frozenset({_ASKED, _OPEN, _LIMITED})


class Chain:
    """The providers of one channel.

    Attributes:
        calls: How often one was called.
        failures: How often one of them did not take the message.
    """

    def __init__(
        self, parts: Parts, channels: Sequence[Channel], lease_ends: float, trace: Trace
    ) -> None:
        """Take the providers.

        Args:
            parts: What attempts need.
            channels: In the order in which they are tried.
            lease_ends: When another worker takes over, by the monotonic clock.
            trace: Is told each step.
        """
        self._parts, self._channels, self._lease_ends = parts, channels, lease_ends
        self._trace = trace
        self.calls = self.failures = 0

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._channels)

    async def send(self, message: Message, attempts: int) -> Outcome:
        """Have the first provider send that takes the message; ``attempts`` count this one too."""
        pauses, last = dict[str, float](), None
        for channel in self._channels:
            if self._parts.clock.monotonic() + self._parts.settings.timeout > self._lease_ends:
                # another worker would take over while this provider still works on it
                self._note("skipped", channel.provider, "the lease ends")
                last = last or ChannelError("no time was left in the lease", retryable=True)
                break
            if (pause := await self._pause(channel, message)) is not None:
                reason, wait, why = pause
                self._note("skipped", channel.provider, why)
                pauses.setdefault(reason, wait)
                continue
            found = await self._try(channel, message)
            if isinstance(found, Outcome):
                return found
            last = found
        if last is None:  # nobody was called: no attempt was used
            reason = min(pauses, key=lambda each: pauses[each])
            due = self._parts.clock.time() + pauses[reason]
            return Outcome(DeliveryStatus.PENDING, reason, due, used=False)
        return retry(self._parts, attempts, str(last), self._wished(message, last))

    async def _pause(self, channel: Channel, message: Message) -> tuple[str, float, str] | None:
        """Return why a provider is not called now, for how long, and in which words; or None."""
        parts, now = self._parts, self._parts.clock.monotonic()
        if wait := parts.circuits.asked(message.key, channel.provider, now):
            return _ASKED, wait, "it asked to wait"
        if wait := parts.circuits.wait((channel.name, channel.provider), now):
            return _OPEN, wait, "circuit open"
        if wait := await parts.limits.take(channel.provider, now, parts.clock.time()):
            return _LIMITED, wait, "rate limit"
        return None

    async def _try(self, channel: Channel, message: Message) -> Outcome | ChannelError:
        """Return how it ended with a provider, or what the next one is tried for."""
        parts, key = self._parts, (channel.name, channel.provider)
        try:
            provider_id = await self._call(channel, message)
        except ChannelError as exc:
            self.failures += 1
            if not exc.retryable:
                parts.circuits.succeeded(key)
                self._note("refused", channel.provider, str(exc))
                kind = DeliveryStatus.INVALID if exc.invalid_recipient else DeliveryStatus.DEAD
                return Outcome(kind, str(exc))
            failed_at = parts.clock.monotonic()
            parts.circuits.failed(key, failed_at)
            if exc.retry_after is not None and len(self._channels) > 1:
                parts.circuits.ask(message.key, channel.provider, failed_at + exc.retry_after)
            self._note("retry", channel.provider, str(exc))
            return exc
        parts.circuits.succeeded(key)
        self._note("delivered", channel.provider, None)
        return Outcome(DeliveryStatus.DELIVERED, provider=channel.provider, provider_id=provider_id)

    def _wished(self, message: Message, last: ChannelError) -> float | None:
        """Return for how long nobody of the chain wants to see the message."""
        if len(self._channels) == 1:
            return last.retry_after
        now, asked = self._parts.clock.monotonic(), self._parts.circuits.asked
        return min(asked(message.key, each.provider, now) for each in self._channels)

    async def _call(self, channel: Channel, message: Message) -> str | None:
        self.calls += 1
        limit = self._parts.settings.timeout
        attributes = {
            "messaging.system": channel.provider,
            "messaging.destination.name": channel.name,
            "messaging.message.id": message.key,
        }
        try:
            async with asyncio.timeout(limit):
                with span(__name__, f"send {channel.name}", attributes):
                    return await channel.send(message)
        except ChannelError:
            raise
        except TimeoutError:
            raise ChannelError(f"no answer in {limit:g} seconds", retryable=True) from None
        except Exception as exc:  # noqa: BLE001  whatever it is, it is this message's alone
            # a channel that breaks its contract must not stop the others of its chain
            raise ChannelError(f"{type(exc).__name__} was raised", retryable=True) from None

    def _note(self, outcome: str, provider: str | None, detail: str | None) -> None:
        self._trace.append((self._parts.clock.time(), outcome, provider, detail))


def retry(parts: Parts, attempts: int, reason: str, retry_after: float | None) -> Outcome:
    """Return when it is tried again, after ``attempts`` that failed."""
    settings = parts.settings
    # "full jitter": M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015
    ceiling = min(settings.backoff_cap, settings.backoff * 2.0 ** min(attempts - 1, 64))
    wait = max(retry_after or 0.0, parts.rng.uniform(0.0, ceiling))
    return Outcome(DeliveryStatus.PENDING, reason, parts.clock.time() + wait)
