"""The Django backend, in a process of its own: Django is configured once per process."""

import subprocess
import sys

import pytest

pytest.importorskip("django")

CODE = """
import pickle, threading
from django.conf import settings
settings.configure(SECRET_KEY="short", CACHES={
    name: {"BACKEND": "tiered_cache.integrations.django.TieredCache", "LOCATION": location,
           "VERSION": version, "OPTIONS": {"settings": {"l1": {"max_size": 50}}}}
    for name, location, version in (("default", "", 1), ("v2", "", 2))})
import django
django.setup()
from django.core.cache import cache, caches

assert cache.get("a") is None and cache.get("a", 5) == 5
cache.set("a", [1])
cache.get("a").append(2)
assert cache.get("a") == [1], "callers get copies"
assert not cache.add("a", 2) and cache.add("b", None) and cache.has_key("b")
assert cache.get("b", 7) is None
cache.set("n", 1)
assert cache.incr("n", 4) == 5 and cache.decr("n") == 4
try:
    cache.incr("none")
except ValueError:
    pass
else:
    raise AssertionError
assert cache.touch("a", 100) and not cache.touch("none")
assert cache.set_many({"x": 1, "y": 2}) == []
assert cache.get_many(["x", "y", "z"]) == {"x": 1, "y": 2}
assert caches["v2"].get("x") is None and caches["v2"].get("x", version=1) == 1
cache.delete_many(["x"]); assert cache.get("x") is None
assert cache.delete("y") and not cache.delete("y")
cache.set("gone", 1, timeout=0); assert cache.get("gone") is None
cache.set("long", 1, timeout=None); assert cache.get("long") == 1
seen = []
threads = [threading.Thread(target=lambda: seen.append(caches["default"].get("long")))
           for _ in range(4)]
[each.start() for each in threads]; [each.join() for each in threads]
assert seen == [1] * 4, "threads share one cache"
cache.clear(); assert cache.get("long") is None
cache.close()
print("done")
"""


def test_the_backend() -> None:
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "done", run.stderr
