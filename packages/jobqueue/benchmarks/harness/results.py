"""What was measured, as it is stored."""

import dataclasses
import json
import os
import platform
import statistics
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .contenders import Contender


@dataclass
class Figure:
    """What one contender did in one measurement.

    Attributes:
        values: One a repetition: jobs a second, milliseconds or seconds.
        extra: What else is told: percentiles, counts.
        missing: Jobs that did not run although there was time.
        duplicates: Runs beyond the first of a job.
        failure: Why there is no figure.
    """

    peer: str
    backend: str
    variant: str
    title: str
    version: str
    loses: bool
    values: list[float] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    missing: int = 0
    duplicates: int = 0
    failure: str | None = None

    @classmethod
    def of(cls, contender: Contender) -> "Figure":
        """Return an empty one."""
        peer = contender.peer
        return cls(
            peer.name,
            peer.backend,
            contender.variant,
            contender.title,
            peer.version,
            contender.loses,
        )

    @property
    def median(self) -> float | None:
        """The middle of the values; None without one."""
        return statistics.median(self.values) if self.values else None


@dataclass
class Results:
    """One run of the benchmarks."""

    about: dict[str, Any] = field(default_factory=dict)
    measures: dict[str, dict[str, Figure]] = field(default_factory=dict)
    bars: list[dict[str, Any]] = field(default_factory=list)

    def figure(self, measure: str, contender: Contender) -> Figure:
        """Return the figure of a contender, an empty one at first."""
        figures = self.measures.setdefault(measure, {})
        return figures.setdefault(contender.key, Figure.of(contender))

    def of(self, measure: str, backend: str) -> list[Figure]:
        """Return the figures of a measurement on one backend."""
        return [each for each in self.measures.get(measure, {}).values() if each.backend == backend]

    def joined(self, newer: "Results") -> "Results":
        """Return these with what was measured again, a measurement on one backend as a whole.

        So whatever is compared was measured in one run; ``about`` tells of each.
        """
        measures = {name: dict(figures) for name, figures in self.measures.items()}
        parts: dict[str, set[str]] = {}
        for name, figures in newer.measures.items():
            anew = {each.backend for each in figures.values()}
            kept = {
                key: each
                for key, each in measures.get(name, {}).items()
                if each.backend not in anew
            }
            measures[name] = kept | figures
            parts.setdefault(", ".join(sorted(anew)), set()).add(name)
        what = [f"{', '.join(sorted(names))} on {where}" for where, names in parts.items()]
        again = {
            "what": "; ".join(what),
            "measured_at": newer.about["measured_at"],
            "load_at_start": newer.about["load_at_start"],
            "repetitions": max(
                len(each.values) for group in newer.measures.values() for each in group.values()
            ),
        }
        before = [each for each in self.about.get("again", []) if each["what"] != again["what"]]
        return Results(self.about | {"again": [*before, again]}, measures)

    def save(self, path: Path) -> None:
        """Write them as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(dataclasses.asdict(self), indent=1, default=str)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Results":
        """Read what ``save`` wrote."""
        data = json.loads(path.read_text(encoding="utf-8"))
        measures = {
            name: {key: Figure(**value) for key, value in figures.items()}
            for name, figures in data["measures"].items()
        }
        return cls(data["about"], measures, data["bars"])


def machine() -> dict[str, Any]:
    """Describe where this runs, without naming it."""
    model = ""
    if (cpus := Path("/proc/cpuinfo")).exists():
        names = [line for line in cpus.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else ""
    return {
        "measured_at": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "system": platform.system(),
        "cpu": model or platform.machine(),
        "cores": os.cpu_count(),
        "load_at_start": round(os.getloadavg()[0], 2),
    }
