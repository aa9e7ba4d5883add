"""The tests of faults find faults: each fails with a worker that lacks what it is about."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("redis")
pytest.importorskip("sqlalchemy")
pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.twin]
HERE = Path(__file__).parent

# the twin, the test, and the line of it that must fail
CASES = [
    ("acks_early", "test_kill_nine_loses_nothing", "set(ids) == set(ledger("),
    ("unfenced", "test_a_frozen_worker_cannot_complete", "(done.status, done.result"),
    (
        "merciless",
        "test_a_killed_workers_job_runs_again_within_two_leases",
        "_started(tmp_path, job.id, 2)",
    ),
    ("beatless", "test_a_long_job_runs_once_while_its_worker_lives", ".attempts == 1"),
    ("uncounted", "test_a_poison_job_ends_and_others_flow", "asyncio.timeout(PATIENCE)"),
    ("keeps_all", "test_sigterm_releases_what_takes_too_long", "[left] = "),
    ("own_clock", "test_a_jumping_clock_loses_nothing", ".values()) == {1}"),
    ("graceless", "test_workers_get_through_an_outage", "(job.status, job.attempts)"),
    ("spinning", "test_workers_get_through_an_outage", "assert tries <"),
    ("deaf", "test_the_second_sigterm_ends_hard", "== -signal.SIGTERM"),
    ("headstrong", "test_cancelling_reaches_running_handlers", '"cancelled", ids[:2]'),
    (
        "unsociable",
        "test_each_tick_runs_once_over_several_schedulers",
        "len(jobs) == len(moments)",
    ),
    ("forgetful", "test_missed_ticks_are_caught_up_once", "assert moments =="),
]
OUTAGE = {"graceless", "spinning"}
SERVERS_ONLY = {*OUTAGE, "own_clock"}  # a file has no server that could be away or have a clock
PLACES = {"redis": "redis", "postgres": "postgres_url", "sqlite": "sqlite"}
PAIRS = [
    (*case, broker)
    for case in CASES
    for broker in PLACES
    if broker != "sqlite" or case[0] not in SERVERS_ONLY
]


@pytest.mark.parametrize(
    ("twin", "name", "line", "broker"), PAIRS, ids=[f"{pair[0]}-{pair[3]}" for pair in PAIRS]
)
def test_a_broken_twin_is_found_out(twin: str, name: str, line: str, broker: str) -> None:
    file, place = "test_processes.py", PLACES[broker]
    if twin in OUTAGE:
        file, place = "test_outage.py", place.replace("postgres_url", "own_postgres")
    test = f"{HERE / file}::{name}[{place}]"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "--tb=short", "-p", "no:cacheprovider", test],
        env={**os.environ, "CHAOS_TWIN": twin},
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.search(rf"^    .*{re.escape(line)}", done.stdout, re.MULTILINE), done.stdout[-3000:]
    assert "1 failed" in done.stdout
