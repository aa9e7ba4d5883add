"""The fault tests of Celery find faults: each fails with workers that lack what it is about."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("celery")
pytest.importorskip("sqlalchemy")
pytestmark = [pytest.mark.chaos, pytest.mark.slow]
HERE = Path(__file__).parent

PAIRS = {
    "acks_early": "test_kill_nine_loses_nothing",
    "merciless": "test_a_killed_childs_job_runs_again_within_two_leases",
    "keeps_all": "test_sigterm_releases_what_takes_too_long[threads]",
    "silent": "test_purged_messages_are_not_missed",
    "offended": "test_rabbitmq_dies_under_load",
    "trusting": "test_doubled_messages_run_nothing_twice",
}


@pytest.mark.parametrize("twin", PAIRS)
def test_a_broken_twin_is_found_out(twin: str, amqp_url: str) -> None:
    test = f"{HERE / 'test_celery_workers.py'}::{PAIRS[twin]}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test],
        env={**os.environ, "CHAOS_TWIN": twin, "CHAOS_PATIENCE": "8"},
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed" in done.stdout, done.stdout[-3000:]
