"""Sparing a provider that fails again and again.

Source: M. Nygard, "Release It!", 2nd edition, 2018, section 5.2 (circuit breaker).
"""

from dataclasses import dataclass

_MOST = 10_000
_CLOSE = 0.01  # seconds: two clocks may differ by the last digit


@dataclass
class _Circuit:
    failures: int = 0
    open_until: float = 0.0


class Circuits:
    """One circuit per provider of a channel; after a pause one message tries again."""

    def __init__(self, failures: int, pause: float) -> None:
        """Open after ``failures`` in a row, for ``pause`` seconds."""
        self._limit, self._pause = failures, pause
        self._known: dict[tuple[str, str], _Circuit] = {}
        self._asked: dict[tuple[str, str], float] = {}

    def wait(self, key: tuple[str, str], now: float) -> float:
        """Return the seconds until the provider may be called; 0 is now.

        Asking at the end of a pause lets the asker through, and holds the others for another one.
        """
        circuit = self._known.get(key)
        if circuit is None or circuit.failures < self._limit:
            return 0.0
        if now < circuit.open_until:
            return circuit.open_until - now
        circuit.open_until = now + self._pause
        return 0.0

    def succeeded(self, key: tuple[str, str]) -> None:
        """Close the circuit."""
        self._known.pop(key, None)

    def failed(self, key: tuple[str, str], now: float) -> None:
        """Count a failure that says something of the provider, not of the message."""
        circuit = self._known.setdefault(key, _Circuit())
        circuit.failures += 1
        if circuit.failures >= self._limit:
            circuit.open_until = now + self._pause

    def ask(self, message: str, provider: str, until: float) -> None:
        """Note that a provider wants to see a message again no sooner than ``until``.

        It is of this message alone: the next one may be for a server that is at leisure.
        """
        if len(self._asked) >= _MOST:
            self._asked.clear()  # they are asked a little early
        self._asked[message, provider] = until

    def asked(self, message: str, provider: str, now: float) -> float:
        """Return the seconds for which a provider does not want to see a message; 0 is now."""
        wait = self._asked.get((message, provider), now) - now
        if wait > _CLOSE:
            return wait
        self._asked.pop((message, provider), None)
        return 0.0
