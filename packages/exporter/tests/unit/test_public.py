"""The public surface, and what importing it costs."""

import subprocess
import sys

import pytest

import exporter


def test_all_is_sorted_and_complete() -> None:
    # constants, then classes, then the rest: the order of isort and ruff
    order = sorted(
        exporter.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name)
    )
    assert order == exporter.__all__
    assert {name for name in dir(exporter) if not name.startswith("_")} >= set(order)
    for name in dir(exporter):
        assert hasattr(exporter, name), name


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'exporter' has no attribute 'nonsense'"):
        exporter.nonsense  # type: ignore[attr-defined]  # noqa: B018


def test_import_costs_nothing_before_a_name_is_used() -> None:
    code = (
        "import sys, exporter\n"
        "print(sorted({'asyncio', 'msgspec', 'logging', 'typing'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")


def test_import_loads_no_client_and_does_no_io() -> None:
    code = (
        "import sys, exporter, exporter.sync\n"
        "clients = {'reportlab', 'docx', 'lxml', 'fontTools', 'uharfbuzz', 'sqlalchemy', 'asyncpg',"
        " 'jinja2', 'yaml', 'starlette', 'opentelemetry', 'rich', 'pytest', 'hypothesis'}\n"
        "print(sorted(clients & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
    assert run.stderr == ""


def test_every_error_has_the_root() -> None:
    errors = [each for each in vars(exporter.errors).values() if isinstance(each, type)]
    assert all(issubclass(each, exporter.ExportError) for each in errors)
    assert issubclass(exporter.ConfigurationError, ValueError)
    assert issubclass(exporter.MissingExtraError, ImportError)
