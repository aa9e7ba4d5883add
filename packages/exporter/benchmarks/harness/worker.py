"""One measurement in a process of its own: ``python -m harness.worker NAME COUNT``.

Prints CPU seconds, growth of the peak of resident memory in MB over what a small run left, and the
size of the file in bytes. Children count too.
"""

import contextlib
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from . import ours, peers

_WARM = 100


def main(name: str, count: int) -> None:
    """Measure one contender."""
    write = {**ours.contenders(), **ours.archives(), **peers.contenders()}[name]
    ending = name.partition("/")[0]
    with tempfile.TemporaryDirectory() as folder:
        write(_WARM, Path(folder) / f"warm.{ending}")
        before, begun = _peak(), _spent()
        path = Path(folder) / f"talk.{ending}"
        write(count, path)
        found = [_spent() - begun, _peak() - before, path.stat().st_size]
    print(json.dumps(found))


def _spent() -> float:
    who = os.times()
    return time.process_time() + who.children_user + who.children_system


def _peak() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage tells begins with the peak of whoever started us
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(sys.argv[1], int(sys.argv[2]))
