"""How long importing a library takes, over asyncio alone."""

import os
import subprocess
from typing import Final

from .contenders import Contender
from .environments import FailedError, cache, interpreter
from .results import Figure

_CODE: Final = (
    "import asyncio, time; begun = time.perf_counter(); {statements}; "
    "print((time.perf_counter() - begun) * 1e3)"
)


def imports(contender: Contender, figure: Figure, repetitions: int) -> None:
    """Measure the wall time of the imports, in a process of its own each time.

    Raises:
        FailedError: It cannot be imported.
    """
    command = [interpreter(contender.peer), "-c", _CODE.format(statements=contender.peer.imports)]
    # compiled once, as installers do it, whatever the environment says of bytecode
    environ = {**os.environ, "PYTHONPYCACHEPREFIX": str(cache() / "bytecode")}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for turn in range(repetitions + 1):
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode:
            raise FailedError(done.stderr.strip().splitlines()[-1][-300:])
        if turn:  # the first one compiles
            figure.values.append(float(done.stdout))
