"""The tests of faults find faults: each fails with a worker that lacks what it is about."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("redis")
pytest.importorskip("sqlalchemy")
pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.twin]
HERE = Path(__file__).parent

PAIRS = {
    "acks_early": "test_kill_nine_loses_nothing",
    "unfenced": "test_a_frozen_worker_cannot_complete",
    "merciless": "test_a_killed_workers_job_runs_again_within_two_leases",
    "beatless": "test_a_long_job_runs_once_while_its_worker_lives",
    "uncounted": "test_a_poison_job_ends_and_others_flow",
    "keeps_all": "test_sigterm_releases_what_takes_too_long",
    "own_clock": "test_a_jumping_clock_loses_nothing",
    "graceless": "test_workers_get_through_an_outage",
    "spinning": "test_workers_get_through_an_outage",
    "deaf": "test_the_second_sigterm_ends_hard",
    "headstrong": "test_cancelling_reaches_running_handlers",
    "unsociable": "test_each_tick_runs_once_over_several_schedulers",
    "forgetful": "test_missed_ticks_are_caught_up_once",
}
OUTAGE = {"graceless", "spinning"}


@pytest.mark.parametrize("twin", PAIRS)
def test_a_broken_twin_is_found_out(twin: str) -> None:
    file = "test_outage.py" if twin in OUTAGE else "test_processes.py"
    test = f"{HERE / file}::{PAIRS[twin]}[redis]"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test],
        env={**os.environ, "CHAOS_TWIN": twin, "CHAOS_PATIENCE": "8"},
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed" in done.stdout, done.stdout[-3000:]
