"""Every small example runs as its reader would run it."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
EXPECTED = {
    "combining_modules.py": """\
done completed
1 unread
""",
    "cron_jobs.py": """\
96 pulses, 1 report (in attempt 3)
0 failed
""",
    "export_cli.py": """\
readings.csv: 11,193 bytes, sha256 e315bc9c…
""",
    "fastapi_cache.py": """\
100 requests, 1 question to the database
Ada Lovelace
404
""",
    "inbox.py": """\
page: created (1 unread) / created (2 unread)
in-app: delivered
email: pending
--- email to ada@example.com ---
Subject: Somebody signed in from Mars

Somebody signed in from Mars

---
page: read (1 unread)
""",
    "search_folder.py": """\
3 files indexed
1.00 boats.txt: Boats wait in the harbour until the <mark>tide</mark> lets them out.
""",
    "tqdm_remote.py": """\
seen from another process: True, in rising order: True
completed, 20 of 20
""",
}


def test_none_is_forgotten() -> None:
    found = {file.name for file in HERE.glob("*.py") if not file.name.startswith("test_")}
    assert found == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_example(name: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, str(HERE / name)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(EXPECTED[name])
