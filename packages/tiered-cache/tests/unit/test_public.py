"""The public surface, and what importing it costs."""

import subprocess
import sys

import tiered_cache


def test_all_is_sorted_and_complete() -> None:
    # constants, then classes, then the rest: the order of isort and ruff
    key = lambda name: (not name.isupper(), not name[0].isupper(), name)
    order = sorted(tiered_cache.__all__, key=key)
    assert order == tiered_cache.__all__
    modules = {
        "adapters",
        "asking",
        "codec",
        "computing",
        "decorator",
        "engine",
        "errors",
        "flights",
        "keys",
        "models",
        "ports",
        "registry",
        "service",
        "settings",
        "shared",
    }
    public = {
        name
        for name, value in vars(tiered_cache).items()
        if not name.startswith("_") and not isinstance(value, type(sys))
    }
    assert public - modules == set(tiered_cache.__all__)


def test_import_loads_no_client_and_does_no_io() -> None:
    code = (
        "import sys, tiered_cache, tiered_cache.sync\n"
        "clients = {'redis', 'sqlalchemy', 'asyncpg', 'aiosqlite', 'yaml', 'opentelemetry', 'rich',"
        " 'zstandard', 'lz4', 'pytest', 'hypothesis'}\n"
        "print(sorted(clients & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
    assert run.stderr == ""


def test_every_error_has_the_root() -> None:
    errors = [each for each in vars(tiered_cache.errors).values() if isinstance(each, type)]
    assert all(issubclass(each, tiered_cache.CacheError) for each in errors)
    assert issubclass(tiered_cache.ConfigurationError, ValueError)
    assert issubclass(tiered_cache.MissingExtraError, ImportError)
