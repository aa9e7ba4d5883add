"""Every small example runs as its reader would run it."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("name", "expected"), [("combining_modules.py", ["done completed", "1 unread"])]
)
def test_example(name: str, expected: list[str], tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, str(HERE / name)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == expected
