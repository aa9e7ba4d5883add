"""Rounds in fresh processes, bars, what is printed and what is stored."""

import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ._common.figures import Bar

_FOLDER = Path(__file__).parents[1]
LIMIT = 60.0  # seconds: who took longer is not asked for more


@dataclass
class Figure:
    """CPU seconds and MB of one contender at one size, a value a round; bytes of the file."""

    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    size: int = 0


@dataclass
class Results:
    """One run: ``figures[name][size]``, and what the other measurements gave."""

    about: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, dict[int, Figure]] = field(default_factory=dict)
    lines: dict[str, list[float]] = field(default_factory=dict)
    archive: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    bars: list[Bar] = field(default_factory=list)
    _given_up: set[str] = field(default_factory=set)
    _earlier: dict[str, Any] = field(default_factory=dict)

    def run(self, name: str, count: int) -> None:
        """Measure a contender once, unless it would take over a minute."""
        if name in self._given_up or self._too_slow(name, count):
            return
        command = [sys.executable, "-m", "harness.worker", name, str(count)]
        try:
            done = subprocess.run(
                command, cwd=_FOLDER, capture_output=True, text=True, check=True, timeout=LIMIT * 10
            )
        except subprocess.TimeoutExpired:
            self._given_up.add(name)
            return
        spent, grown, size = json.loads(done.stdout.splitlines()[-1])
        figure = self.figures.setdefault(name, {}).setdefault(count, Figure())
        figure.seconds.append(spent)
        figure.memory.append(grown)
        figure.size = size

    def _too_slow(self, name: str, count: int) -> bool:
        """Whether the next smaller size says that this one takes over a minute."""
        known = {**self._stored(name), **self.figures.get(name, {})}
        smaller = [size for size in known if size < count]
        if not smaller:
            return False
        last = max(smaller)
        return statistics.median(known[last].seconds) * count / last > LIMIT

    def seconds(self, name: str, count: int) -> float | None:
        """Return the median of CPU seconds."""
        figure = self.figures.get(name, {}).get(count)
        return statistics.median(figure.seconds) if figure else None

    def memory(self, name: str, count: int) -> float | None:
        """Return the median of MB."""
        figure = self.figures.get(name, {}).get(count)
        return statistics.median(figure.memory) if figure else None

    def line(self, script: str) -> float | None:
        """Return the median of a line's cost over a plain one's, round by round."""
        plain = self.lines.get("plain", [])
        pairs = list(zip(self.lines.get(script, []), plain, strict=False))
        return statistics.median(its / plain for its, plain in pairs) if pairs else None

    def recall(self, path: Path) -> None:
        """Know what an earlier run stored."""
        if path.exists():
            self._earlier = json.loads(path.read_text("utf-8"))

    def _stored(self, name: str) -> dict[int, Figure]:
        figures = self._earlier.get("figures", {}).get(name, {})
        return {int(size): Figure(**figure) for size, figure in figures.items()}

    def fill(self) -> None:
        """Take over what the earlier run has and this one did not measure."""
        for name in self._earlier.get("figures", {}):
            self.figures[name] = {**self._stored(name), **self.figures.get(name, {})}
        self.lines = self.lines or self._earlier.get("lines", {})
        self.archive = self.archive or self._earlier.get("archive", {})

    def save(self, path: Path) -> None:
        """Write everything as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        plain = {
            "about": self.about,
            "figures": {
                name: {str(size): vars(figure) for size, figure in sizes.items()}
                for name, sizes in self.figures.items()
            },
            "lines": self.lines,
            "archive": self.archive,
            "bars": [{**vars(bar), "met": bar.met} for bar in self.bars],
        }
        path.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """Describe where this runs, without naming it."""
    return {
        "measured": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "Python": platform.python_version(),
        "load when it began": round(os.getloadavg()[0], 2),
    }
