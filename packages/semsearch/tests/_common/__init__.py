"""Real servers for the tests: the same files in every package, with ``pythonpath = ["tests"]``.

``pytest_plugins = ["_common.plugin"]`` in a package's ``tests/conftest.py`` brings the fixtures.
"""
