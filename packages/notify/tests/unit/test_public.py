"""The public surface, and what importing it costs."""

import subprocess
import sys

import pytest

import notify


def test_all_is_sorted_and_complete() -> None:
    # constants, then classes, then the rest: the order of isort and ruff
    order = sorted(
        notify.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name)
    )
    assert order == notify.__all__
    assert {name for name in dir(notify) if not name.startswith("_")} >= set(order)
    for name in dir(notify):
        assert hasattr(notify, name), name


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'notify' has no attribute 'nonsense'"):
        notify.nonsense  # type: ignore[attr-defined]  # noqa: B018


def test_import_costs_nothing_before_a_name_is_used() -> None:
    code = (
        "import sys, notify\n"
        "print(sorted({'asyncio', 'msgspec', 'logging', 'typing'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")


def test_import_loads_no_client_and_does_no_io() -> None:
    code = (
        "import sys, notify, notify.sync\n"
        "clients = {'redis', 'sqlalchemy', 'asyncpg', 'aiosqlite', 'yaml', 'opentelemetry', 'rich',"
        " 'aiosmtplib', 'starlette', 'jinja2', 'pytest', 'hypothesis'}\n"
        "print(sorted(clients & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
    assert run.stderr == ""


def test_every_error_has_the_root() -> None:
    errors = [each for each in vars(notify.errors).values() if isinstance(each, type)]
    assert all(issubclass(each, notify.NotifyError) for each in errors)
    assert issubclass(notify.ConfigurationError, ValueError)
    assert issubclass(notify.MissingExtraError, ImportError)
    assert issubclass(notify.InvalidNotification, ValueError)
    assert issubclass(notify.NotificationNotFound, LookupError)


def test_an_invalid_recipient_is_never_retryable() -> None:
    error = notify.ChannelError("x", retryable=True, invalid_recipient=True)
    assert not error.retryable
