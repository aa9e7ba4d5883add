"""The public surface, and what importing it costs."""

import subprocess
import sys

import pytest

import progress_tracker


def test_all_is_sorted_and_complete() -> None:
    # constants, then classes, then the rest: the order of isort and ruff
    order = sorted(
        progress_tracker.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name)
    )
    assert order == progress_tracker.__all__
    assert {name for name in dir(progress_tracker) if not name.startswith("_")} >= set(order)
    for name in dir(progress_tracker):
        assert hasattr(progress_tracker, name), name


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(
        AttributeError, match="module 'progress_tracker' has no attribute 'nonsense'"
    ):
        progress_tracker.nonsense  # type: ignore[attr-defined]  # noqa: B018


def test_import_costs_nothing_before_a_name_is_used() -> None:
    code = (
        "import sys, progress_tracker\n"
        "print(sorted({'asyncio', 'msgspec', 'logging', 'typing'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")


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
