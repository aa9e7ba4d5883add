"""A cache backend for Django, over the same two levels.

``CACHES = {"default": {"BACKEND": "tiered_cache.integrations.django.TieredCache",
"LOCATION": "redis://localhost:6379/0"}}``

Values are pickled, as Django's own backends do, but signed with ``SECRET_KEY`` (and accepted with
``SECRET_KEY_FALLBACKS``): bytes that somebody else put into Redis are never unpickled.
``OPTIONS`` may hold ``settings``, a mapping as in the YAML.
"""

import contextlib
import pickle
import threading
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from django.conf import settings as django_settings  # type: ignore[import-untyped]  # it has none
from django.core.cache.backends.base import (  # type: ignore[import-untyped]  # as above
    DEFAULT_TIMEOUT,
    BaseCache,
)

from ..blocking import PORTAL
from ..models import MISSING
from ..service import CacheProvider
from ..settings import Settings

_LONG = 1e9
T = TypeVar("T")


_lock = threading.Lock()
_caches: dict[Settings, CacheProvider] = {}


def _shared_cache(settings: Settings) -> CacheProvider:
    """Return the cache of these settings: Django makes a backend for each thread and alias."""
    with _lock:
        if settings not in _caches:
            _caches[settings] = CacheProvider(settings)
        return _caches[settings]


class TieredCache(BaseCache):  # type: ignore[misc]  # as above
    """Django's cache API on a :class:`tiered_cache.CacheProvider`, ``cache``.

    ``add`` and ``incr`` hold the lock of their key: they are atomic while the shared level answers.
    """

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        """Describe the cache; nothing is opened yet."""
        super().__init__(params)
        options: Mapping[str, Any] = params.get("OPTIONS", {})
        mapping: dict[str, Any] = dict(options.get("settings", {}))
        mapping["serializer"] = "pickle-signed"  # we unpickle what comes back
        keys = [django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS]
        mapping.setdefault("signing_keys", [str(key).ljust(16, "-") for key in keys])
        l2 = dict(mapping.get("l2", {}))
        if location:
            l2.setdefault("connection_string", location)
        mapping["l2"] = l2
        self.cache = _shared_cache(Settings.from_mapping(mapping, environ={}))

    def _name(self, key: Any, version: int | None) -> str:
        return str(self.make_and_validate_key(key, version=version))

    @staticmethod
    def _run(function: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any) -> T:
        return PORTAL.run(function, *args, **kwargs)

    def _get(self, name: str, default: Any = MISSING) -> Any:
        data = self.cache.peek(name)
        if data is MISSING:
            data = self._run(self.cache.get, name, MISSING)
        # signed by a process that has our key, or written by this one
        return default if data is MISSING else pickle.loads(data)  # noqa: S301  as it says

    @contextlib.contextmanager
    def _locked(self, name: str) -> Generator[None, None, None]:
        scope = self.cache.lock(name)
        self._run(scope.__aenter__)
        try:
            yield
        finally:
            self._run(scope.__aexit__, None, None, None)

    def _ttl(self, timeout: Any) -> float:
        """Return seconds; not above 0 means: do not keep it."""
        if timeout is DEFAULT_TIMEOUT:
            timeout = self.default_timeout
        return _LONG if timeout is None else min(_LONG, float(timeout))

    def _store(self, items: Mapping[str, Any], timeout: Any) -> None:
        if (ttl := self._ttl(timeout)) <= 0:
            self._run(self.cache.delete_many, list(items))
        else:
            # pickled here, by the caller's thread: a QuerySet then asks its database
            packed = {name: pickle.dumps(value, protocol=5) for name, value in items.items()}
            self._run(self.cache.set_many, packed, ttl=ttl)

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return a value."""
        return self._get(self._name(key, version), default)

    def set(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        """Store a value."""
        self._store({self._name(key, version): value}, timeout)

    def add(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Store a value unless there is one; return whether it was stored."""
        name = self._name(key, version)
        with self._locked(name):
            if self._get(name) is not MISSING:
                return False
            self._store({name: value}, timeout)
            return True

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Give a value a new timeout; return whether there is one."""
        name = self._name(key, version)
        with self._locked(name):
            value = self._get(name)
            if value is MISSING:
                return False
            self._store({name: value}, timeout)
            return True

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Add to a number, which keeps Django's default timeout.

        Raises:
            ValueError: There is none.
        """
        name = self._name(key, version)
        with self._locked(name):
            value = self._get(name)
            if value is MISSING:
                raise ValueError(f"Key '{key}' not found")
            made: int = value + delta
            self._store({name: made}, DEFAULT_TIMEOUT)
            return made

    def has_key(self, key: Any, version: int | None = None) -> bool:
        """Whether there is a value."""
        return self._get(self._name(key, version)) is not MISSING

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Drop a value; return whether there was one."""
        name = self._name(key, version)
        there = self._get(name) is not MISSING
        self._run(self.cache.delete, name)
        return there

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """Return the values that are there, in one round trip."""
        names = {self._name(key, version): key for key in keys}
        found = self._run(self.cache.get_many, list(names))
        return {names[name]: pickle.loads(data) for name, data in found.items()}  # noqa: S301  as above

    def set_many(
        self,
        data: Mapping[Any, Any],
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[Any]:
        """Store values in one round trip; none of them fails alone."""
        self._store({self._name(key, version): value for key, value in data.items()}, timeout)
        return []

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Drop values in one round trip."""
        self._run(self.cache.delete_many, [self._name(key, version) for key in keys])

    def clear(self) -> None:
        """Make every value a miss, also those of other versions."""
        self._run(self.cache.clear)

    def invalidate(self, tags: Sequence[str]) -> None:
        """Make every value with one of ``tags`` a miss; beyond Django's own API."""
        self._run(self.cache.invalidate, tags)

    def close(self, **_: Any) -> None:
        """Do nothing: Django says this after each request, and connections are kept."""
