"""From a call to the record of a job."""

import hashlib
import json
from collections.abc import Mapping
from copy import copy
from datetime import datetime, timedelta, tzinfo
from typing import Any

from . import backoff
from ._common.clock import NewId, utc
from ._common.telemetry import correlation_id, inject
from .checks import check_name, check_number, check_whole, shown
from .errors import ConfigurationError, PayloadError
from .handlers import Handler
from .models import Job, JobOptions, Retry
from .payload import SIGNATURE, encode, signature
from .ports import Record
from .records import headers_of
from .settings import Settings, zone

_MAX_PARENTS = 1000
_MAX_KNOWN = 1000


class Drafting:
    """Makes the records of a queue.

    Jobs of one name mostly differ in their data only: what the options, the handler and the
    settings make of the rest is remembered for the last options of each name.
    """

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._known: dict[str, tuple[JobOptions, Settings, Handler | None, Record]] = {}

    def make(
        self,
        name: str,
        data: Any,
        options: JobOptions,
        settings: Settings,
        handler: Handler | None,
        new_id: NewId,
        headers: str,
    ) -> Record:
        """Return the record to store: the call's options before the handler's, then the settings'.

        Args:
            name: Of the job.
            data: Its data, not encoded yet.
            options: Of the call.
            settings: Of the queue.
            handler: The one of that name, if it is known here.
            new_id: Makes an id unless the options name one.
            headers: What :func:`make_headers` made, where the options have none.

        Raises:
            ConfigurationError: An option is out of range.
            PayloadError: ``data`` cannot be stored.
        """
        known = self._known.get(name)
        if (
            known is None
            or known[0] is not options
            or known[1] is not settings
            or known[2] is not handler
        ):
            known = (options, settings, handler, _template(name, options, settings, handler))
            if len(self._known) > _MAX_KNOWN:
                self._known.clear()
            self._known[name] = known
        record = copy(known[3])
        record.data = encode(data, settings.max_payload, "data of job", name)
        record.id = new_id() if options.id is None else check_name(options.id, "a job's id")
        record.headers = headers if options.headers is None else make_headers(options.headers)
        if handler is not None and (handler.unique or handler.limit_by is not None):
            _mark(record, data, handler)
        if settings.signing_keys:
            _sign(record, settings.signing_keys[0])
        return record


def _sign(record: Record, key: str) -> None:
    signed = signature(key, record.id, record.name, record.data)
    record.headers = json.dumps({**headers_of(record), SIGNATURE: signed})


def _mark(record: Record, data: Any, handler: Handler) -> None:
    if handler.unique and record.unique_key is None:
        record.unique_key = f"{record.name}:{hashlib.sha256(record.data).hexdigest()}"
    if handler.limit_by is not None and record.limit_key is None:
        what = f"what limit_by of {record.name!r} returns"
        record.limit_key = check_name(str(handler.limit_by(data)), what)


def _template(
    name: str, options: JobOptions, settings: Settings, handler: Handler | None
) -> Record:
    _check_options(options)
    check_name(name, "a job's name")
    queue = check_name(_first(options.queue, handler and handler.queue, "default"), "queue")
    own = check_whole(_first(options.priority, 0), "priority", -1000, 1000)
    attempts = _first(
        options.max_attempts, handler and handler.max_attempts, settings.defaults.max_attempts
    )
    timeout = _first(options.timeout, handler and handler.timeout, settings.defaults.timeout)
    ttl = _first(options.result_ttl, handler and handler.result_ttl, settings.defaults.result_ttl)
    key, limit_key, known = options.unique_key, options.limit_key, settings.queues.get(queue)
    return Record(
        id="",
        name=name,
        queue=queue,
        data=b"",
        priority=own if known is None else max(-1000, min(1000, own + known.priority)),
        max_attempts=check_whole(attempts, "max_attempts", 1, 10_000),
        delay=_length(_first(options.delay, 0.0), "delay", 0, 1e10),
        timeout=None if timeout is None else _length(timeout, "timeout", 1e-3, 1e9),
        backoff=_backoff(options, handler),
        unique_key=None if key is None else check_name(key, "unique_key"),
        result_ttl=None if ttl is None else _length(ttl, "result_ttl", 0, 1e10),
        aging=0.0 if known is None else known.aging or 0.0,
        depends_on=_parents(options.depends_on),
        on_parent_failure=_policy(options.on_parent_failure),
        limit_key=None if limit_key is None else check_name(limit_key, "limit_key"),
    )


def _check_options(options: Any) -> None:
    if not isinstance(options, JobOptions):
        raise ConfigurationError(f"options must be JobOptions, not {shown(options)}")
    if options.on_duplicate not in ("raise", "return"):  # a tuple: it may be unhashable
        raise ConfigurationError(
            f"on_duplicate must be 'raise' or 'return', not {shown(options.on_duplicate)}"
        )


def _length(given: Any, what: str, low: float, high: float) -> float:
    value = given.total_seconds() if isinstance(given, timedelta) else given
    return check_number(value, what, low, high)


def _parents(given: Any) -> tuple[str, ...]:
    if not given:
        return ()
    many = (given,) if isinstance(given, str | Job) else given
    if not isinstance(many, list | tuple) or len(many) > _MAX_PARENTS:
        raise ConfigurationError(
            f"depends_on must be a job, its id, or up to {_MAX_PARENTS} of them, not {shown(given)}"
        )
    ids = [each.id if isinstance(each, Job) else each for each in many]
    return tuple(dict.fromkeys(check_name(each, "an id in depends_on") for each in ids))


def _policy(given: Any) -> str:
    if given not in ("fail", "skip", "run"):  # a tuple: it may be unhashable
        raise ConfigurationError(
            f"on_parent_failure must be 'fail', 'skip' or 'run', not {shown(given)}"
        )
    return str(given)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _backoff(options: JobOptions, handler: Handler | None) -> str | None:
    if options.backoff is not None:
        return backoff.dump(options.backoff)
    rule = None if handler is None else handler.backoff
    return backoff.dump(rule) if isinstance(rule, Retry | str) else None


def make_headers(given: Any = None) -> str:
    """Return the headers to store: trace context, correlation id, and what the call gave.

    Raises:
        PayloadError: They are not strings, or over 8 KiB.
    """
    headers = inject()
    if (value := correlation_id()) is not None:
        headers["correlation_id"] = value
    if given is not None and not isinstance(given, Mapping):
        raise PayloadError(f"headers must be a mapping of str to str, not {shown(given)}")
    headers |= given or {}
    if not headers:
        return "{}"
    for pair in headers.items():
        if not all(isinstance(item, str) for item in pair):
            raise PayloadError(f"headers must be a mapping of str to str, not have {shown(pair)}")
    text = json.dumps(headers)
    if not all(item.isascii() or _is_text(item) for pair in headers.items() for item in pair):
        raise PayloadError("headers must be text: one holds half of a surrogate pair")
    if len(text) > 8192:
        raise PayloadError("headers are over 8 KiB")
    return text


def due_time(moment: datetime, settings: Settings) -> float:
    """Return a datetime in seconds since the epoch; naive ones are in the configured zone.

    Raises:
        ConfigurationError: It is not a datetime, or out of the range of UTC.
    """
    if not isinstance(moment, datetime):
        raise ConfigurationError(f"a time must be a datetime, not {shown(moment)}")
    place: tzinfo = moment.tzinfo or zone(settings.scheduler.timezone)
    try:
        value = moment.replace(tzinfo=place).timestamp()
        utc(value)
    except (ValueError, OverflowError, OSError) as exc:
        raise ConfigurationError(f"not a time that UTC can say: {moment!r}") from exc
    return value


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
