"""Numbers as they are told, and what they have to reach."""

from dataclasses import dataclass


def number(value: float | None) -> str:
    """Return a figure with as many digits as say something."""
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


@dataclass
class Bar:
    """What had to be reached, and what was."""

    what: str
    limit: float
    unit: str
    measured: float | None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether it was reached; None if nothing was measured."""
        if self.measured is None:
            return None
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit
