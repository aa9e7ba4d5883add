"""The fault tests of Redis find faults: each fails with a broker that lacks what it is about."""

import asyncio
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from faults import OWNED

pytest.importorskip("redis")
pytest.importorskip("sqlalchemy")
pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.twin]

import broker_twins as twins  # noqa: E402  it needs both
from chaos import test_redis_faults as tests  # noqa: E402
from jobqueue.errors import BackendError, QueueFull  # noqa: E402

place = tests.place
RAISES_NOTHING = (pytest.fail.Exception, "DID NOT RAISE")
RAN = (AssertionError, r"exists\(\)")

# the twin, the test with its arguments, how that fails
CASES: list[tuple[Any, Any, tuple[Any, ...], tuple[Any, str]]] = [
    (
        twins.tries_once,
        tests.test_an_enqueue_cut_off_makes_one_job,
        ("drop_requests",),
        (BackendError, "ConnectionError|closed|reset"),
    ),
    (
        twins.renames,
        tests.test_an_enqueue_cut_off_makes_one_job,
        ("drop_replies",),
        (AssertionError, "Left contains one more item"),
    ),
    (
        twins.believes,
        tests.test_an_outcome_cut_off_counts_once,
        ("drop_requests",),
        RAISES_NOTHING,
    ),
    (
        twins.repeats,
        tests.test_an_outcome_cut_off_counts_once,
        ("drop_replies",),
        RAISES_NOTHING,
    ),
    (
        twins.accepts_late,
        tests.test_an_outcome_cut_off_counts_once,
        ("drop_replies",),
        (AssertionError, r"\[\] == \['"),
    ),
    (twins.repeats, tests.test_a_tick_cut_off_is_taken_once, (), RAISES_NOTHING),
    (twins.hears_no_cut, tests.test_waiting_survives_a_restart, (), RAISES_NOTHING),
    (
        twins.sends_no_script,
        tests.test_forgotten_scripts_are_sent_again,
        (),
        (BackendError, "NoScript"),
    ),
    (
        twins.notices_no_loss,
        tests.test_flushall_is_survived_and_reported,
        (),
        (AssertionError, "broker.data_lost"),
    ),
    (twins.begins_with_growth, tests.test_a_full_memory_drains, (), (QueueFull, "OOM|memory")),
    (twins.promises_room, tests.test_a_full_memory_drains, (), RAISES_NOTHING),
    (twins.cuts_short, tests.test_fifty_megabytes, (), (AssertionError, "b'\"")),
    (
        twins.own_clock,
        tests.test_a_workers_wrong_clock_changes_nothing,
        (),
        (AssertionError, "name='running'"),
    ),
    (twins.unpickles, tests.test_hostile_fields_break_nothing, ("er",), RAN),
    (twins.loads_yaml, tests.test_hostile_fields_break_nothing, ("er",), RAN),
    (
        twins.trusts_numbers,
        tests.test_hostile_fields_break_nothing,
        ("a",),
        (BackendError, "arithmetic"),
    ),
    (twins.unpickles, tests.test_hostile_bodies_break_nothing, (tests.PICKLE,), RAN),
    (twins.loads_yaml, tests.test_hostile_bodies_break_nothing, (tests.YAML,), RAN),
    (
        twins.trusts_records,
        tests.test_hostile_bodies_break_nothing,
        (b"nan",),
        (struct.error, "unpack_from requires"),
    ),
    (
        twins.trusts_keys,
        tests.test_keys_of_another_type_break_nothing,
        ("job",),
        (BackendError, "WRONGTYPE"),
    ),
    (
        twins.drops_unreadable,
        tests.test_a_record_that_cannot_be_read_fails_with_its_bytes,
        (),
        (AssertionError, "b'processing' == b'failed'"),
    ),
    (
        twins.reads_any_version,
        tests.test_a_later_releases_record_is_left_alone,
        (),
        (AssertionError, r"\[\] == \['well'\]"),
    ),
]


@pytest.fixture(autouse=True)
def _cleaned() -> Iterator[None]:
    yield
    OWNED.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("twin", "test", "arguments", "failure"),
    CASES,
    ids=[f"{twin.__name__}-{test.__name__}" for twin, test, *_ in CASES],
)
async def test_a_broken_twin_is_found_out(
    request: pytest.FixtureRequest,
    place: tests.Place,
    monkeypatch: pytest.MonkeyPatch,
    twin: Callable[[pytest.MonkeyPatch], None],
    test: Any,
    arguments: tuple[Any, ...],
    failure: tuple[Any, str],
) -> None:
    if "caplog" in test.__code__.co_varnames[: test.__code__.co_argcount]:
        arguments = (request.getfixturevalue("caplog"),)
    twin(monkeypatch)
    kind, said = failure
    with pytest.raises(kind, match=said):
        await test(place, *arguments)


async def test_a_server_without_a_file_is_found_out(place: tests.Place) -> None:
    """The test that a killed server loses nothing, on one that keeps nothing on disk."""
    with pytest.raises(AssertionError, match="not \\['"):  # outcomes of jobs that are gone
        await tests.test_a_killed_server_loses_nothing(place)


@tests.durable
async def test_a_broker_that_gives_up_is_found_out(
    place: tests.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    twins.gives_up(monkeypatch)
    with pytest.raises(AssertionError, match="retryable"):
        await tests.test_a_killed_server_loses_nothing(place)


@pytest.mark.parametrize("how", ["blackhole", "frozen"])
async def test_a_broker_without_a_time_limit_is_found_out(
    place: tests.Place, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Its first call still hangs after more than all calls take together with a limit."""
    twins.has_no_limit(monkeypatch)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(tests.TIMEOUT * 10):
            await tests.test_a_server_that_never_answers_holds_up_no_call(place, how)
    place.server.resume()
