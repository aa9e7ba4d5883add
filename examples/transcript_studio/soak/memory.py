"""The memory of the studio's processes while a soak runs."""

import asyncio
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

from studio_process import Studio

_LOADED = 120.0  # seconds after which a process has loaded all that it ever will
_GONE = 10.0  # seconds without a sample
_GROWTH = 1.1  # of the median of a process' last quarter to that of its first


class Memory:
    """Resident memory of each process, in MiB, every two seconds."""

    def __init__(self, studio: Studio, warm: float) -> None:
        """Watch ``studio``; after ``warm`` seconds its pools and caches have their size."""
        self._studio, self._warm, self._begun = studio, warm, time.monotonic()
        self.samples: dict[str, list[tuple[float, float]]] = defaultdict(list)

    async def watch(self) -> None:
        """Take samples until cancelled."""
        while True:
            now = time.monotonic() - self._begun
            for name, pid in self._pids():
                if (size := _resident(pid)) is not None:
                    self._of(f"{name} {pid}", now).append((now, size))
            await asyncio.sleep(2)

    def _of(self, name: str, now: float) -> list[tuple[float, float]]:
        """Return the samples of a process; a number is given again long after its process died."""
        while (known := self.samples[name]) and now - known[-1][0] > _GONE:
            name += "'"
        return known

    def growth(self, after: float = _LOADED) -> dict[str, float]:
        """Return how much each process grew that lived long after ``after`` seconds: 1 is flat."""
        found = {}
        for name, samples in self.samples.items():
            warm = [size for at, size in samples if at - samples[0][0] > after]
            if len(warm) >= 40:
                quarter = len(warm) // 4
                found[name] = median(warm[-quarter:]) / median(warm[:quarter])
        return found

    def judged(self) -> list[str]:
        """Return the processes that lived long enough to be judged."""
        return list(self.growth(self._warm))

    def findings(self) -> list[str]:
        """Say which processes grew; none is judged that did not live long enough."""
        return [
            f"{name} grew to {100 * growth:.0f} % of what it was when it was warm"
            for name, growth in self.growth(self._warm).items()
            if growth > _GROWTH
        ]

    def _pids(self) -> list[tuple[str, int]]:
        webs = [each.process.pid for each in self._studio.webs if each.process is not None]
        workers = [each.pid for each in self._studio.workers]
        return [*(("web", pid) for pid in webs), *(("worker", pid) for pid in workers)]


def _resident(pid: int) -> float | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = [line for line in lines if line.startswith("VmRSS:")]
    return int(sizes[0].split()[1]) / 1024 if sizes else None
