"""What was measured, as it is stored."""

import dataclasses
import json
import os
import platform
import statistics
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from .figures import Bar


@dataclass
class Figure:
    """What one contender did in one measurement, a value a repetition.

    Attributes:
        who: Its name and version.
        ours: Whether it is this package.
        floor: Whether it is no contender but what nothing can be faster than.
        values: In the unit of the measurement; less is better, unless `more`.
        told: What else is to be said.
    """

    who: str
    ours: bool = False
    floor: bool = False
    values: list[float] = field(default_factory=list)
    told: str = ""

    @property
    def median(self) -> float | None:
        """The middle of the values; None without one."""
        return statistics.median(self.values) if self.values else None


@dataclass
class Measure:
    """One measurement of all who can do it."""

    title: str
    unit: str
    more: bool = False
    """Whether more is better."""
    figures: dict[str, Figure] = field(default_factory=dict)

    def add(
        self, who: str, value: float, *, ours: bool = False, floor: bool = False, told: str = ""
    ) -> None:
        """Note the value of a repetition."""
        figure = self.figures.setdefault(who, Figure(who, ours, floor))
        figure.values.append(value)
        figure.told = told or figure.told


@dataclass
class Results:
    """One run of the benchmarks."""

    about: dict[str, Any] = field(default_factory=dict)
    measures: dict[str, Measure] = field(default_factory=dict)
    bars: list[Bar] = field(default_factory=list)

    def measure(self, name: str, title: str, unit: str, *, more: bool = False) -> Measure:
        """Return a measurement, an empty one at first."""
        return self.measures.setdefault(name, Measure(title, unit, more))

    def ratio(self, name: str, who: str, to: str) -> float | None:
        """Return the median of the ratios of two contenders, repetition by repetition."""
        if (measure := self.measures.get(name)) is None:
            return None
        one, other = measure.figures.get(who), measure.figures.get(to)
        if one is None or other is None or not one.values or not other.values:
            return None
        pairs = zip(one.values, other.values, strict=False)
        return statistics.median(mine / its for mine, its in pairs)

    def median(self, name: str, who: str) -> float | None:
        """Return the median of one contender."""
        measure = self.measures.get(name)
        figure = measure.figures.get(who) if measure else None
        return figure.median if figure else None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what was recorded before; nothing if there is nothing."""
        if not path.exists():
            return cls()
        data = json.loads(path.read_text(encoding="utf-8"))
        measures = {
            name: Measure(
                each["title"],
                each["unit"],
                each["more"],
                {who: Figure(**figure) for who, figure in each["figures"].items()},
            )
            for name, each in data["measures"].items()
        }
        names = {each.name for each in dataclasses.fields(Bar)}
        bars = [Bar(**{k: v for k, v in each.items() if k in names}) for each in data["bars"]]
        return cls(data["about"], measures, bars)

    def save(self, path: Path) -> None:
        """Write them as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        plain = dataclasses.asdict(self)
        for plain_bar, bar in zip(plain["bars"], self.bars, strict=True):
            plain_bar["met"] = bar.met
        path.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


def _share() -> str:
    """Say what part of the machine this process may use, where that can be asked."""
    if not hasattr(os, "sched_getaffinity"):
        return "unknown"
    count = len(os.sched_getaffinity(0))
    alone = os.sched_getscheduler(0) in {os.SCHED_FIFO, os.SCHED_RR}
    return f"{count} of {os.cpu_count()} cores{', before all other work' if alone else ''}"


def machine() -> dict[str, Any]:
    """Describe where this runs, without naming it."""
    model = ""
    if (cpus := Path("/proc/cpuinfo")).exists():
        names = [line for line in cpus.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else ""
    return {
        "measured": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {model or platform.machine()}, {platform.system()}",
        "Python": platform.python_version(),
        "could use": _share(),
        "load when it began": round(os.getloadavg()[0], 2),
    }
