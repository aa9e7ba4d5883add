"""Runs Django's own cache tests against our backend: python django_suite.py DJANGO/tests [URL].

Django's sdist has the tests, its wheel does not. What is left out, and why, stands in ``LEFT_OUT``.
"""

import sys
import unittest
from pathlib import Path
from typing import Any

BACKEND = "tiered_cache.integrations.django.TieredCache"
LEFT_OUT = {
    "test_cull": "Django's backends drop a third of all entries; ours is bounded by its policy",
    "test_zero_cull": "the same",
    "test_cull_delete_when_store_empty": "the same",
    "test_invalid_key_characters": "memcached's limits of keys are not ours: every key is allowed",
    "test_invalid_key_length": "the same",
    "test_invalid_with_version_key_length": "the same",
}


def main(folder: str, location: str = "") -> int:
    """Run them and return 0 if all pass."""
    sys.path.insert(0, folder)
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="a key for tests only",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["cache"],
        USE_TZ=False,
        ALLOWED_HOSTS=["testserver"],
        CACHES={"default": {"BACKEND": BACKEND, "LOCATION": location}},
        ROOT_URLCONF="",
        MIDDLEWARE=[],
    )
    django.setup()
    from cache import tests as theirs
    from django.core.cache import caches
    from django.db import connection
    from django.test import TestCase, override_settings

    def caches_of(**more: Any) -> Any:
        return theirs.caches_setting_for_tests(BACKEND=BACKEND, LOCATION=location, **more)

    @override_settings(CACHES=caches_of())
    class TieredCacheTests(theirs.BaseCacheTests, TestCase):
        def setUp(self) -> None:
            super().setUp()
            for name in caches:
                caches[name].clear()

    for name, why in LEFT_OUT.items():
        if hasattr(TieredCacheTests, name):
            setattr(TieredCacheTests, name, unittest.skip(why)(lambda _: None))
    del theirs.BaseCacheTests
    connection.creation.create_test_db(verbosity=0)
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(TieredCacheTests)
    done = unittest.TextTestRunner(verbosity=1).run(suite)
    print(f"{done.testsRun} run, {len(done.skipped)} left out")
    return 0 if done.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(str(Path(sys.argv[1]).resolve()), *sys.argv[2:]))
