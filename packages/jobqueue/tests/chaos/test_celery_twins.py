"""The fault tests of Celery find faults: each fails with workers that lack what it is about."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("celery")
pytest.importorskip("sqlalchemy")
pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.twin]
HERE = Path(__file__).parent

# the twin, the test, and the line of it that must fail
CASES = [
    ("acks_early", "test_kill_nine_loses_nothing", "set(ids) <="),
    ("keeps_all", "test_sigterm_releases_what_takes_too_long", "left.status"),
    ("merciless", "test_a_killed_processs_job_runs_again_within_two_leases[child]", "== 2"),
    ("silent", "test_purged_messages_are_not_missed", "stage.done"),
    ("offended", "test_rabbitmq_dies_under_load", "stage.done"),
    ("trusting", "test_doubled_messages_run_nothing_twice", "dict.fromkeys"),
]


@pytest.mark.parametrize(("twin", "name", "line"), CASES, ids=[case[0] for case in CASES])
def test_a_broken_twin_is_found_out(twin: str, name: str, line: str, amqp_url: str) -> None:
    test = f"{HERE / 'test_celery_workers.py'}::{name}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "--tb=short", "-p", "no:cacheprovider", test],
        env={**os.environ, "CHAOS_TWIN": twin, "CHAOS_PATIENCE": "15"},
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.search(rf"^    .*{re.escape(line)}", done.stdout, re.MULTILINE), done.stdout[-3000:]
    assert "1 failed" in done.stdout
