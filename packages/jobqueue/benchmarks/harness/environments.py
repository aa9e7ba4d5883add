"""One virtual environment for each peer: they ask for versions that exclude each other."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from .contenders import Peer

CACHE: Final = Path(__file__).parents[1] / ".cache"


class FailedError(Exception):
    """A peer could not be installed or did not do what it was told; the message says why."""


def cache() -> Path:
    """Return the folder for what need not be made again; git does not see it."""
    CACHE.mkdir(exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n", encoding="utf-8")
    return CACHE


def interpreter(peer: Peer) -> Path:
    """Return the Python that has ``peer`` installed, installing it the first time.

    Raises:
        FailedError: It cannot be installed.
    """
    if not peer.requirements:
        return Path(sys.executable)
    what = "\n".join((sys.version, *peer.requirements))
    digest = hashlib.sha256(what.encode()).hexdigest()[:12]
    folder = cache() / f"{peer.name}-{digest}"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _install(peer, folder, python)
        ready.touch()
    return python


def _install(peer: Peer, folder: Path, python: Path) -> None:
    if uv := shutil.which("uv"):
        _call(uv, "venv", "--quiet", "--python", sys.executable, str(folder))
        _call(uv, "pip", "install", "--quiet", "--python", str(python), *peer.requirements)
    else:
        _call(sys.executable, "-m", "venv", str(folder))
        _call(str(python), "-m", "pip", "install", "--quiet", *peer.requirements)


def _call(*command: str) -> None:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        # an active environment would be taken for the target
        env={name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
    )
    if done.returncode:
        raise FailedError(f"{command[0]} failed: {done.stderr.strip()[-400:]}")
