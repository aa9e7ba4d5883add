"""The public surface, and what importing it costs."""

import subprocess
import sys

import pytest

import jobqueue


def test_all_is_sorted_and_complete() -> None:
    # constants, then classes, then the rest: the order of isort and ruff
    order = sorted(
        jobqueue.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name)
    )
    assert order == jobqueue.__all__
    assert {name for name in dir(jobqueue) if not name.startswith("_")} >= set(order)
    for name in dir(jobqueue):
        assert hasattr(jobqueue, name), name


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'jobqueue' has no attribute 'nonsense'"):
        jobqueue.nonsense  # type: ignore[attr-defined]  # noqa: B018


def test_import_costs_nothing_before_a_name_is_used() -> None:
    code = (
        "import sys, jobqueue\n"
        "print(sorted({'asyncio', 'msgspec', 'logging', 'typing'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")


def test_import_loads_no_client_and_does_no_io() -> None:
    code = (
        "import sys, jobqueue, jobqueue.sync\n"
        "clients = {'redis', 'sqlalchemy', 'asyncpg', 'aiosqlite', 'yaml', 'opentelemetry', 'rich',"
        " 'celery', 'pytest', 'hypothesis'}\n"
        "print(sorted(clients & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
    assert run.stderr == ""


def test_who_only_enqueues_loads_neither_cron_nor_figures() -> None:
    code = (
        "import sys; from jobqueue import Job, JobQueue, Worker; JobQueue()\n"
        "parts = {'cronsim', 'zoneinfo', 'jobqueue.worker.metrics', 'jobqueue.worker.door'}\n"
        "print(sorted(parts & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_every_error_has_the_root() -> None:
    errors = [each for each in vars(jobqueue.errors).values() if isinstance(each, type)]
    assert all(issubclass(each, jobqueue.JobQueueError) for each in errors)
    assert issubclass(jobqueue.ConfigurationError, ValueError)
    assert issubclass(jobqueue.MissingExtraError, ImportError)
