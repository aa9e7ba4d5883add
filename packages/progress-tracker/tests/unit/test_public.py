"""The public surface, and what importing it costs."""

import subprocess
import sys

import progress_tracker


def test_all_is_sorted_and_complete() -> None:
    assert progress_tracker.__all__ == sorted(progress_tracker.__all__)
    public = {
        name
        for name, value in vars(progress_tracker).items()
        if not name.startswith("_") and not isinstance(value, type(sys))
    }
    assert public == set(progress_tracker.__all__)


def test_import_loads_no_client_and_does_no_io() -> None:
    code = (
        "import sys, progress_tracker, progress_tracker.sync, progress_tracker.asgi\n"
        "import progress_tracker.cli, progress_tracker.terminal, threading\n"
        "clients = {'redis', 'sqlalchemy', 'asyncpg', 'aiosqlite', 'yaml', 'opentelemetry', 'rich',"
        " 'starlette', 'tqdm', 'pytest', 'hypothesis'}\n"
        "print(sorted(clients & set(sys.modules)), threading.active_count())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[] 1"
    assert run.stderr == ""


def test_every_error_has_the_root() -> None:
    errors = [each for each in vars(progress_tracker.errors).values() if isinstance(each, type)]
    assert all(issubclass(each, progress_tracker.ProgressError) for each in errors)
    assert issubclass(progress_tracker.ConfigurationError, ValueError)
    assert issubclass(progress_tracker.MissingExtraError, ImportError)
    assert issubclass(progress_tracker.InvalidProgress, ValueError)
    assert issubclass(progress_tracker.ProgressNotFound, LookupError)
