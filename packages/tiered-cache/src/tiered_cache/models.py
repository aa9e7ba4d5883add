"""What users of the cache handle: options, figures, the context of a factory."""

import enum
import inspect
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Final, TypedDict

from .errors import ConfigurationError


class _Missing(enum.Enum):
    MISSING = "MISSING"

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing.MISSING
"""What ``get(key, MISSING)`` returns where nothing is cached: a cached None is a hit."""

Seconds = float | timedelta


class OptionKeywords(TypedDict, total=False):
    """The fields of :class:`CacheOptions` as keywords."""

    ttl: Seconds | None
    tags: Sequence[str] | None
    compress: bool | None
    jitter: float | None
    max_stale: Seconds | None
    soft_timeout: Seconds | None
    hard_timeout: Seconds | None
    eager_refresh: float | None
    negative_ttl: Seconds | None
    skip_l1: bool
    skip_l2: bool
    sliding: bool
    copy: bool


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """How one value is cached. None means: as the settings say.

    Attributes:
        ttl: Seconds until the value is expired, over 0.
        tags: Names under which it can be invalidated.
        compress: True and False force it, None decides by the settings' threshold.
        jitter: Shortens the ttl by a random share of up to this, 0 to 1.
        max_stale: Seconds after expiry for which the value may stand in when the factory fails or
            is slow (fail-safe). While neither L2 nor the backplane is heard, nobody can tell what
            other processes deleted: only values with this stand in then.
        soft_timeout: Seconds after which a stale value is served while the factory goes on.
        hard_timeout: Seconds after which the factory is given up.
        eager_refresh: Share of the ttl, 0 to 1, after which a hit starts a refresh behind. It
            counts for what calls with it computed or found in L2; a value that a plain ``get``
            brought into this process is not refreshed early.
        negative_ttl: The ttl of None, in place of ``ttl``.
        skip_l1: Keep it out of process memory.
        skip_l2: Keep it out of the shared level.
        sliding: A hit starts the ttl anew (in L1).
        copy: Hand out deep copies, so that callers cannot change what is cached.
    """

    ttl: Seconds | None = None
    tags: Sequence[str] | None = None
    compress: bool | None = None
    jitter: float | None = None
    max_stale: Seconds | None = None
    soft_timeout: Seconds | None = None
    hard_timeout: Seconds | None = None
    eager_refresh: float | None = None
    negative_ttl: Seconds | None = None
    skip_l1: bool = False
    skip_l2: bool = False
    sliding: bool = False
    copy: bool = False

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        for name in ("ttl", "max_stale", "soft_timeout", "hard_timeout", "negative_ttl"):
            if (value := getattr(self, name)) is not None:
                check_seconds(name, value, zero=name == "max_stale")
        for name in ("jitter", "eager_refresh"):
            share = getattr(self, name)
            if share is not None and not (_is_number(share) and 0 <= share <= 1):
                raise ConfigurationError(f"{name} must be between 0 and 1, not {share!r}")
        if not are_tags(self.tags):
            raise ConfigurationError(
                f"tags must be a list of non-empty str of at most 200 characters, not {self.tags!r}"
            )
        for name in ("compress", "skip_l1", "skip_l2", "sliding", "copy"):
            chosen = getattr(self, name)
            if not isinstance(chosen, bool) and (name != "compress" or chosen is not None):
                raise ConfigurationError(f"{name} must be True or False, not {chosen!r}")


_GENERATORS: Final = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
OPTION_NAMES: Final = frozenset(each.name for each in fields(CacheOptions))


def _is_number(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int that no float can hold
        return False


def are_tags(tags: Any) -> bool:
    """Whether ``tags`` are names to invalidate by, or None."""
    if tags is None:
        return True
    if isinstance(tags, str) or not isinstance(tags, Collection):
        return False
    return all(map(_is_tag, tags))


def _is_tag(tag: Any) -> bool:
    if not isinstance(tag, str) or not 0 < len(tag) <= 200 or tag == "*":
        return False
    # lone surrogates have no bytes
    return tag.isascii() or not any("\ud800" <= char <= "\udfff" for char in tag)


def check_callable(name: str, value: Any) -> None:
    """Refuse what cannot be called, before it is taken for a failing call.

    Raises:
        ConfigurationError: It cannot.
    """
    if not callable(value):
        raise ConfigurationError(f"{name} must be a function, not {value!r}")


def check_factory(factory: Any) -> None:
    """Refuse what is no function, and a generator: what it gives can be run through once only.

    Raises:
        ConfigurationError: It is one of these.
    """
    check_callable("factory", factory)
    if (code := getattr(factory, "__code__", None)) is not None and code.co_flags & _GENERATORS:
        raise ConfigurationError(
            f"{factory.__qualname__} is a generator, which can be run through once only: return a "
            "list, or cache what it is made of"
        )


def check_seconds(name: str, value: Any, *, zero: bool) -> None:
    """Refuse what is no number of seconds; ``zero`` says whether 0 is one.

    Raises:
        ConfigurationError: It is none.
    """
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if not _is_number(number) or number < 0 or (number == 0 and not zero) or number > 1e9:
        hint = "; write @cache.cached() with brackets" if callable(value) else ""
        raise ConfigurationError(
            f"{name} must be a {'' if zero else 'positive '}number of seconds, not {value!r}{hint}"
        )


def check_count(name: str, value: Any) -> None:
    """Refuse what is no whole number from 1 on.

    Raises:
        ConfigurationError: It is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{name} must be a whole number of at least 1, not {value!r}")


def seconds(value: Seconds | None) -> float | None:
    """Return a duration in seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else value


@dataclass(frozen=True, slots=True)
class CacheStats:
    """Counters since construction and the present size.

    Attributes:
        hits: Values found, in either tier.
        misses: Values not found.
        hit_rate: ``hits / (hits + misses)``; 0 before the first.
        size: Bytes in L1, estimated.
        keys: Fresh values in L1.
        l1_hits: Found in process memory.
        l2_hits: Found in the shared level.
        stale_served: Expired values that stood in.
        factory_calls: Runs of factories.
        factory_errors: Factories that raised or ran out of time.
        factory_seconds: How long factories ran, all together.
        coalesced: Callers that waited for another's factory in this process.
        shared_flights: Values that another process computed while this one waited.
        evictions: Values that L1 dropped for room.
        expired: Values that L1 dropped because their time was over.
        invalidated: Values that L1 dropped because they were set, deleted or invalidated.
        l2_errors: Calls of the shared level that failed.
        corrupt: Bytes of the shared level that were no value of ours.
        unserializable: Values that stayed in L1 because they have no bytes.
        breaker: ``closed``, ``open`` (the shared level is left alone) or ``none`` (there is none).
        breaker_opened: How often the breaker opened.
        pending: Changes that wait for the shared level.
        replayed: Changes that had waited and were made.
        trusted: Whether invalidations of other processes arrive.
    """

    hits: int
    misses: int
    hit_rate: float
    size: int
    keys: int
    l1_hits: int = 0
    l2_hits: int = 0
    stale_served: int = 0
    factory_calls: int = 0
    factory_errors: int = 0
    factory_seconds: float = 0.0
    coalesced: int = 0
    shared_flights: int = 0
    evictions: int = 0
    expired: int = 0
    invalidated: int = 0
    l2_errors: int = 0
    corrupt: int = 0
    unserializable: int = 0
    breaker: str = "none"
    breaker_opened: int = 0
    pending: int = 0
    replayed: int = 0
    trusted: bool = True


@dataclass(frozen=True, slots=True)
class Invalidation:
    """What became of an invalidation.

    Attributes:
        confirmed: Whether the shared level has it, so that it holds in every process; False: it
            holds here, and waits for the shared level to come back.
    """

    confirmed: bool = True


@dataclass(slots=True)
class CacheContext:
    """What a factory with a required parameter gets; it may change ``ttl``, ``tags``, ``skip``.

    Attributes:
        key: The key.
        ttl: Seconds; what is set here holds.
        tags: Names under which the value can be invalidated. A value for which the factory adds a
            tag that is invalidated *during* the run, here or elsewhere, is returned, not cached.
        skip: True returns the value without caching it.
        stale: The expired value, or ``MISSING``.
    """

    key: str
    ttl: float | None
    tags: list[str] = field(default_factory=list)
    skip: bool = False
    stale: Any = MISSING

    def not_modified(self) -> Any:
        """Return the stale value, to be cached anew.

        Raises:
            LookupError: There is none.
        """
        if self.stale is MISSING:
            raise LookupError(f"nothing stale is cached under {self.key!r}")
        return self.stale
