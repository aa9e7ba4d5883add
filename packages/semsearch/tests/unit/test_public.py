"""The public surface, and what importing it costs."""

import subprocess
import sys

import pytest

import semsearch


def test_all_is_sorted_and_complete() -> None:
    # constants, then classes, then the rest: the order of isort and ruff
    order = sorted(
        semsearch.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name)
    )
    assert order == semsearch.__all__
    assert {name for name in dir(semsearch) if not name.startswith("_")} >= set(order)
    for name in dir(semsearch):
        assert hasattr(semsearch, name), name


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'semsearch' has no attribute 'nonsense'"):
        semsearch.nonsense  # type: ignore[attr-defined]  # noqa: B018


def test_import_costs_nothing_before_a_name_is_used() -> None:
    code = (
        "import sys, semsearch\n"
        "print(sorted({'asyncio', 'msgspec', 'logging', 'typing'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")


def test_import_loads_no_client_and_does_no_io() -> None:
    code = (
        "import sys, semsearch, semsearch.sync\n"
        "clients = {'redis', 'sqlalchemy', 'asyncpg', 'aiosqlite', 'yaml', 'opentelemetry', 'rich',"
        " 'torch', 'wordllama', 'pytest', 'hypothesis', 'qdrant_client', 'qdrant_edge'}\n"
        "print(sorted(clients & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
    assert run.stderr == ""


def test_every_error_has_the_root() -> None:
    errors = [each for each in vars(semsearch.errors).values() if isinstance(each, type)]
    assert all(issubclass(each, semsearch.SemSearchError) for each in errors)
    assert issubclass(semsearch.ConfigurationError, ValueError)
    assert issubclass(semsearch.MissingExtraError, ImportError)
