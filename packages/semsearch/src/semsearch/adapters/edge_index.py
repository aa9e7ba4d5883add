"""The HNSW index of an edge folder is built by a process of its own."""

import contextlib
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

logger = logging.getLogger(__name__)
_LOOK = 0.5
"""Seconds between two looks at a process that builds an index."""
_OPTIMIZE = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
import qdrant_edge
shard = qdrant_edge.EdgeShard.load(sys.argv[2])
shard.optimize()
shard.close()
"""


def build(folder: Path) -> None:
    """Let another process open ``folder``, which nobody has open, and build the index.

    What fails is logged: what is there is searched exactly, and the next write tries again.
    """
    where, paths = str(folder.absolute()), json.dumps(sys.path)
    command = [sys.executable, "-c", _OPTIMIZE, paths, where]
    with subprocess.Popen(  # noqa: S603  ourselves, with a folder as an argument
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=dict(os.environ)
    ) as child:
        said = _waited_for(child)
    if child.returncode:
        logger.warning(
            "semsearch.index_not_built",
            extra={"folder": where, "reason": said.decode(errors="replace")[-300:]},
        )


def _waited_for(child: "subprocess.Popen[bytes]") -> bytes:
    """Return what a building process says of errors, once it ended."""
    while True:
        try:
            return child.communicate(timeout=_LOOK)[1]
        except subprocess.TimeoutExpired:
            hurry(child.pid)


def hurry(pid: int) -> None:
    """Let all threads of a process have the priority of its first one, if we may (Linux, root).

    The engine's threads that build an index step behind everything else on the machine, for hours
    where that is busy; but a write and all searches wait for them.
    """
    with contextlib.suppress(OSError):
        usual = os.getpriority(os.PRIO_PROCESS, pid)
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(task.name), usual)
