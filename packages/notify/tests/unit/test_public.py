"""The public surface, and what importing it costs."""

import subprocess
import sys

import notify


def test_all_is_sorted_and_complete() -> None:
    assert notify.__all__ == sorted(notify.__all__)
    modules = {
        "adapters", "assembly", "delivery", "directory", "errors", "explaining", "feeds",
        "htmltext",
        "models", "ports", "preferences", "quiet", "records", "registry", "rendering", "sending",
        "service", "settings", "stored", "subscribing", "templates", "validation",
    }  # fmt: skip
    loaded_by_other_tests = {"asgi", "cli", "sandbox", "sync", "testing", "wire"}
    public = {name for name in vars(notify) if not name.startswith("_")}
    assert public - modules - loaded_by_other_tests == set(notify.__all__)


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
