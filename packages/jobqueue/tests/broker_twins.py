"""Broken twins of brokers, each without one thing that the fault tests are about.

Each takes pytest's ``monkeypatch`` and breaks a class or module until the test ends; see
chaos/test_redis_twins.py and chaos/test_sql_twins.py.
"""

import contextlib
import hashlib
import os
import pickle
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from jobqueue._common.redis_lanes import Lanes
from jobqueue._common.redis_wire import command
from jobqueue.adapters.redis import base as redis_base
from jobqueue.adapters.redis import broker as redis_broker
from jobqueue.adapters.redis import reading, scripts
from jobqueue.adapters.redis.broker import RedisBroker
from jobqueue.adapters.sql import broker as sql_broker
from jobqueue.adapters.sql import postgres, rows, server, sqlite, stepping, taking
from jobqueue.adapters.sql.mysql import MySQLBroker
from jobqueue.adapters.sql.server import ServerBroker
from jobqueue.adapters.sql.sqlite import SQLiteBroker
from jobqueue.errors import BackendError, QueueFull
from jobqueue.ports import Broker, Enqueued, Record, Step, WorkerCall

Patch = pytest.MonkeyPatch
LONGEST = 2**24
BROKERS: tuple[Any, ...] = (RedisBroker, ServerBroker, postgres.PostgresBroker, MySQLBroker)


def _each(patch: Patch, name: str, change: Callable[[Any], Any]) -> None:
    """Put ``change(method)`` in the place of a method, on each broker that has its own."""
    for kind in (*BROKERS, sql_broker.SQLBroker):
        if name in vars(kind):
            patch.setattr(kind, name, change(vars(kind)[name]))


# --- connections cut, servers that die -----------------------------------------------------------


def gives_up(patch: Patch) -> None:
    """Says of no fault that it may pass."""
    lost = Lanes.fault

    def for_good(lanes: Lanes, exc: BaseException) -> Exception:
        made = lost(lanes, exc)
        return BackendError(str(made)) if isinstance(made, BackendError) else made

    patch.setattr(Lanes, "fault", for_good)
    patch.setattr(server, "_fault", lambda message, **_: BackendError(message))


def tries_once(patch: Patch) -> None:
    """Sends nothing a second time."""
    run, tried = Lanes.run, ServerBroker._tried

    async def once(lanes: Lanes, *words: Any, again: bool = True) -> bytes:
        return await run(lanes, *words, again=False)

    async def only(broker: ServerBroker, work: Any, *, lost: bool = False) -> Any:
        return await tried(broker, work, lost=False)

    patch.setattr(Lanes, "run", once)
    patch.setattr(ServerBroker, "_tried", only)
    # which is a first try, before that of all others
    patch.setattr(postgres, "is_usual", lambda record: False)


def repeats(patch: Patch) -> None:
    """Sends everything a second time, what does harm twice too."""
    run, tried = Lanes.run, ServerBroker._tried

    async def twice(lanes: Lanes, *words: Any, again: bool = True) -> bytes:
        return await run(lanes, *words, again=True)

    async def always(broker: ServerBroker, work: Any, *, lost: bool = False) -> Any:
        return await tried(broker, work, lost=True)

    patch.setattr(Lanes, "run", twice)
    patch.setattr(ServerBroker, "_tried", always)


def renames(patch: Patch) -> None:
    """Gives a job a new id at each try."""
    tries_once(patch)

    def change(enqueue: Any) -> Any:
        async def anew(broker: Broker, records: Sequence[Record]) -> Any:
            try:
                return await enqueue(broker, records)
            except BackendError:
                fresh = [msgspec.structs.replace(each, id=each.id + "-2") for each in records]
                made = await enqueue(broker, fresh)
            return [Enqueued(each, one.reason) for each, one in zip(records, made, strict=True)]

        return anew

    _each(patch, "enqueue", change)


def believes(patch: Patch) -> None:
    """Takes a step whose answer was lost for done."""

    def change(step: Any) -> Any:
        async def quietly(broker: Broker, call: WorkerCall) -> Step:
            try:
                made: Step = await step(broker, call)
            except BackendError:
                return Step()
            return made

        return quietly

    _each(patch, "step", change)


def accepts_late(patch: Patch) -> None:
    """Says of no outcome that it came too late."""

    def change(step: Any) -> Any:
        async def politely(broker: Broker, call: WorkerCall) -> Step:
            return replace(await step(broker, call), refused=[])

        return politely

    _each(patch, "step", change)


def has_no_limit(patch: Patch) -> None:
    """Has no limit of time."""
    made = {kind: kind.__init__ for kind in (RedisBroker, ServerBroker)}
    for kind, init in made.items():

        def endless(broker: Any, url: str, init: Any = init, **options: Any) -> None:
            init(broker, url, **{**options, "timeout": 3600.0})

        patch.setattr(kind, "__init__", endless)


def hears_no_cut(patch: Patch) -> None:
    """Waits on when the server has gone."""
    wait = RedisBroker.wait

    async def deaf(broker: RedisBroker, timeout: float) -> None:
        with contextlib.suppress(BackendError):
            await wait(broker, timeout)

    patch.setattr(RedisBroker, "wait", deaf)


def sends_no_script(patch: Patch) -> None:
    """Trusts that the server knows its scripts, once it has sent them."""
    run = Lanes.run
    known: set[bytes] = set()

    async def by_name(lanes: Lanes, script: Any, key: bytes, *words: bytes, again: bool) -> bytes:
        if script.sha not in known:
            known.add(script.sha)
            return await run(lanes, script, key, *words, again=again)
        try:
            return await lanes._tried(command(b"EVALSHA", script.sha, key, words), again=again)
        except lanes._errors.RedisError as exc:
            raise lanes.fault(exc) from exc

    def defaulted(lanes: Lanes, *words: Any, again: bool = True) -> Any:
        return by_name(lanes, *words, again=again)

    patch.setattr(Lanes, "run", defaulted)


def notices_no_loss(patch: Patch) -> None:
    """Does not look whether all its keys are gone."""
    patch.setattr(RedisBroker, "_compare", lambda broker, born: None)


# --- no room -------------------------------------------------------------------------------------


def _scripts(patch: Patch, pattern: str, other: str) -> None:
    """Change the text of the scripts."""
    original = scripts.script

    def changed(name: str) -> scripts.Script:
        found = original(name)
        text = re.sub(pattern.encode(), other.encode(), found.text)
        sha = hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()
        return scripts.Script(name, text, sha)

    if not any(re.search(pattern.encode(), original(name).text) for name in ("step", "look")):
        pytest.fail(f"no script says {pattern!r} any more")
    for module in (redis_base, redis_broker):
        patch.setattr(module, "script", changed)


def begins_with_growth(patch: Patch) -> None:
    """Begins a step with a write that a full server refuses."""
    _scripts(patch, r"(?m)^(call\('DEL', P \.\. '-'\)|for _, slot in .* call\('DEL'.*)$", "")


def promises_room(patch: Patch) -> None:
    """Says that a job is stored where there was no room for it."""

    def change(enqueue: Any) -> Any:
        async def boldly(broker: Broker, records: Sequence[Record]) -> Any:
            try:
                return await enqueue(broker, records)
            except QueueFull:
                return [Enqueued(each, "created") for each in records]

        return boldly

    _each(patch, "enqueue", change)


def stores_one_by_one(patch: Patch) -> None:
    """Stores many jobs in as many transactions."""
    enqueue = SQLiteBroker.enqueue

    async def slowly(broker: SQLiteBroker, records: Sequence[Record]) -> Any:
        return [made for each in records for made in await enqueue(broker, [each])]

    patch.setattr(SQLiteBroker, "enqueue", slowly)


def takes_full_for_broken(patch: Patch) -> None:
    """Does not know what the database says when its disk is full."""
    patch.setattr(sqlite, "_fault", lambda message, **_: BackendError(message, retryable=True))


def takes_giants_for_faults(patch: Patch) -> None:
    """Does not ask why the server hung up."""

    async def not_asked(broker: MySQLBroker, *_: object) -> None:
        """Look at nothing."""

    patch.setattr(MySQLBroker, "_refuse_giants", not_asked)
    patch.setattr(server, "_TOO_LARGE", set())


def cuts_short(patch: Patch) -> None:
    """Keeps the first sixteen megabytes of a payload."""

    def change(enqueue: Any) -> Any:
        def cut(broker: Broker, records: Sequence[Record]) -> Any:
            short = [msgspec.structs.replace(each, data=each.data[:LONGEST]) for each in records]
            return enqueue(broker, short)

        return cut

    _each(patch, "enqueue", change)


# --- time ----------------------------------------------------------------------------------------


def own_clock(patch: Patch) -> None:
    """Believes its own clock, not the server's."""
    for module in (redis_base, redis_broker, server):
        patch.setattr(module, "told", lambda clock: (clock.time(), 0.0))


def waits_for_locks(patch: Patch) -> None:
    """Claims rows in order, also those that somebody else holds."""
    step = postgres.step
    patch.setattr(postgres, "step", lambda **how: step(**how).replace(" SKIP LOCKED", ""))
    words = replace(postgres.PostgresBroker.words, skip=" FOR UPDATE")
    patch.setattr(postgres.PostgresBroker, "words", words)


# --- what others have written --------------------------------------------------------------------


def _run_by_pickle(data: bytes) -> None:
    at = data.find(b"\x80\x04c")
    if at >= 0:
        with contextlib.suppress(Exception):
            pickle.loads(data[at:])


def _run_by_yaml(data: bytes) -> None:
    # what yaml.unsafe_load does with this tag
    if found := re.search(rb"!!python/object/apply:os\.system \['([^']*)'\]", data):
        os.system(found[1])


def _loads(patch: Patch, run: Callable[[bytes], None]) -> None:
    entry, text, made = reading._entry, reading._text, rows.record_of

    def loaded_entry(body: memoryview | None) -> Any:
        run(bytes(body or b""))
        return entry(body)

    def loaded_text(data: memoryview | None) -> str:
        run(bytes(data or b""))
        return text(data)

    def loaded_row(row: Sequence[Any]) -> Record:
        for each in row:
            if isinstance(each, bytes):
                run(each)
        return made(row)

    patch.setattr(reading, "_entry", loaded_entry)
    patch.setattr(reading, "_text", loaded_text)
    for module in (taking, sql_broker, rows):
        patch.setattr(module, "record_of", loaded_row)
    claimed = rows.claimed_record

    def loaded_claim(names: Sequence[str], row: Sequence[Any]) -> Record:
        for each in row:
            if isinstance(each, bytes):
                run(each)
        return claimed(names, row)

    patch.setattr(postgres, "claimed_record", loaded_claim)


def unpickles(patch: Patch) -> None:
    """Loads stored bytes as pickle."""
    _loads(patch, _run_by_pickle)


def loads_yaml(patch: Patch) -> None:
    """Loads stored text as YAML, with its tags."""
    _loads(patch, _run_by_yaml)


def trusts_records(patch: Patch) -> None:
    """Takes it that each stored job can be read."""
    patch.setattr(reading, "_FAULTS", ())
    patch.setattr(taking, "BackendError", _Never)


class _Never(Exception):
    """What nobody raises."""


def trusts_numbers(patch: Patch) -> None:
    """Takes it that what stands in place of a number is one."""
    _scripts(patch, r"if not value or value ~= value or math\.abs\(value\) > 2 \^ 53", "if false")


def trusts_keys(patch: Patch) -> None:
    """Takes it that its keys hold what it has put there."""
    _scripts(patch, r"redis\.pcall\('HMGET'", "redis.call('HMGET'")


def drops_unreadable(patch: Patch) -> None:
    """Leaves where it is what it cannot read, and says nothing."""

    async def nothing(broker: RedisBroker, bad: Sequence[Any]) -> None:
        """Do nothing."""

    patch.setattr(RedisBroker, "_spoil", nothing)
    unreadable = taking.unreadable
    patch.setattr(taking, "unreadable", lambda *words: {**unreadable(*words), "seq": -1})


def reads_any_version(patch: Patch) -> None:
    """Claims what a later release has written."""
    patch.setattr(redis_broker, "FORMAT", 99)
    patch.setattr(stepping, "NEWEST", 99)
