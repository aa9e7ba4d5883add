"""The public surface, and what importing it costs."""

import subprocess
import sys

import jobqueue


def test_all_is_sorted_and_complete() -> None:
    # constants, then classes, then the rest: the order of isort and ruff
    key = lambda name: (not name.isupper(), not name[0].isupper(), name)
    order = sorted(jobqueue.__all__, key=key)
    assert order == jobqueue.__all__
    modules = {"adapters", "errors", "models", "ports", "service", "settings", "worker"}
    public = {
        name
        for name, value in vars(jobqueue).items()
        if not name.startswith("_") and not isinstance(value, type(sys))
    }
    assert public - modules == set(jobqueue.__all__)


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


def test_every_error_has_the_root() -> None:
    errors = [each for each in vars(jobqueue.errors).values() if isinstance(each, type)]
    assert all(issubclass(each, jobqueue.JobQueueError) for each in errors)
    assert issubclass(jobqueue.ConfigurationError, ValueError)
    assert issubclass(jobqueue.MissingExtraError, ImportError)
