"""The fault tests of SQL find faults: each fails with a broker that lacks what it is about."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from _common.mariadb_server import fresh_mysql_database
from _common.postgres_client import execute
from _common.postgres_server import fresh_database
from _common.server import Server
from faults import OWNED
from jobqueue.testing import FakeClock

pytest.importorskip("redis")
pytest.importorskip("sqlalchemy")
pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.twin]

import broker_twins as twins  # noqa: E402  it needs both
from chaos import test_sql_faults as tests  # noqa: E402
from jobqueue.errors import BackendError, PayloadError  # noqa: E402

frozen = tests.frozen
RAISES_NOTHING = (pytest.fail.Exception, "DID NOT RAISE")
RAN = (AssertionError, r"exists\(\)")
Failure = tuple[Any, str]


@pytest.fixture(params=["postgres_server", "mysql_server"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[tests.Place]:
    """On a server that these tests share: none of them disturbs it."""
    fresh = fresh_database if request.param == "postgres_server" else fresh_mysql_database
    async with tests.placed(request.getfixturevalue(request.param), fresh) as made:
        yield made


@pytest.fixture
async def own_place(own_postgres: Server) -> AsyncIterator[tests.Place]:
    async with tests.placed(own_postgres, fresh_database) as made:
        yield made


@pytest.fixture(autouse=True)
def _cleaned() -> Iterator[None]:
    yield
    OWNED.unlink(missing_ok=True)


# the twin, the test of a connection cut with its arguments, how that fails
CUTS: list[tuple[Any, Any, str, Failure]] = [
    (
        twins.tries_once,
        tests.test_an_enqueue_cut_off_makes_one_job,
        "drop_requests",
        (BackendError, "closed in the middle|Lost connection"),
    ),
    (
        twins.renames,
        tests.test_an_enqueue_cut_off_makes_one_job,
        "drop_replies",
        (AssertionError, "Left contains one more item"),
    ),
    (twins.believes, tests.test_an_outcome_cut_off_counts_once, "drop_requests", RAISES_NOTHING),
    (twins.repeats, tests.test_an_outcome_cut_off_counts_once, "drop_replies", RAISES_NOTHING),
    (
        twins.accepts_late,
        tests.test_an_outcome_cut_off_counts_once,
        "drop_replies",
        (AssertionError, r"\[\] == \['"),
    ),
]


@pytest.mark.parametrize(
    ("twin", "test", "mode", "failure"), CUTS, ids=[each[0].__name__ for each in CUTS]
)
async def test_a_twin_that_is_cut_off_is_found_out(
    place: tests.Place,
    monkeypatch: pytest.MonkeyPatch,
    twin: Any,
    test: Any,
    mode: str,
    failure: Failure,
) -> None:
    twin(monkeypatch)
    with pytest.raises(failure[0], match=failure[1]):
        await test(place, monkeypatch, mode)


async def test_a_server_that_writes_no_log_is_found_out(own_place: tests.Place) -> None:
    """The test that a killed server loses nothing, on a table that a crash empties."""
    execute(own_place.url, "ALTER TABLE jobqueue_jobs SET UNLOGGED")
    with pytest.raises(AssertionError, match=r"not \['"):
        await tests.test_a_killed_server_loses_nothing(own_place)


async def test_a_broker_that_gives_up_is_found_out(
    own_place: tests.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    twins.gives_up(monkeypatch)
    with pytest.raises(AssertionError, match="retryable"):
        await tests.test_a_killed_server_loses_nothing(own_place)


async def test_a_broker_without_a_time_limit_is_found_out(
    place: tests.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first calls still hang after more than all calls take together with a limit."""
    monkeypatch.setattr(tests, "TIMEOUT", 0.5)
    twins.has_no_limit(monkeypatch)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(6):
            await tests.test_a_server_that_never_answers_holds_up_no_call(place)


async def test_a_wrong_clock_that_is_believed_is_found_out(
    place: tests.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    twins.own_clock(monkeypatch)
    with pytest.raises(AssertionError, match="name='running'"):
        await tests.test_a_workers_wrong_clock_changes_nothing(place)


@pytest.mark.parametrize("place", ["postgres_server"], indirect=True)
async def test_a_broker_that_waits_for_locks_is_found_out(
    place: tests.Place, frozen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tests, "PATIENCE", 2.0)
    twins.waits_for_locks(monkeypatch)
    with pytest.raises(BackendError, match="no answer in time"):
        await tests.test_a_frozen_client_keeps_only_its_own_rows(place, frozen)


@pytest.mark.parametrize("place", ["postgres_server"], indirect=True)
async def test_a_payload_cut_short_is_found_out(
    place: tests.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    twins.cuts_short(monkeypatch)
    with pytest.raises(AssertionError, match="b'\""):
        await tests.test_fifty_megabytes(place)


@pytest.mark.parametrize("own_mysql", [("--max-allowed-packet=1M",)], indirect=True)
async def test_a_packet_too_large_taken_for_a_fault_is_found_out(
    own_mysql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    twins.takes_giants_for_faults(monkeypatch)
    with pytest.raises(BackendError) as caught:
        await tests.test_a_payload_over_the_packet_is_refused(own_mysql)
    assert not isinstance(caught.value, PayloadError)


@pytest.mark.parametrize(
    ("twin", "failure"),
    [
        (twins.takes_full_for_broken, (BackendError, "disk is full")),
        (twins.stores_one_by_one, (AssertionError, "too many")),
    ],
)
async def test_a_disk_full_misunderstood_is_found_out(
    tmp_path: Path,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    twin: Any,
    failure: Failure,
) -> None:
    twin(monkeypatch)
    with pytest.raises(failure[0], match=failure[1]):
        await tests.test_a_full_disk_drains(tmp_path, clock)


# the twin, the test of what others have written with its arguments, how that fails
READERS: list[tuple[Any, Any, tuple[Any, ...], Failure]] = [
    (twins.unpickles, tests.test_hostile_values_break_nothing, ("data",), RAN),
    (twins.loads_yaml, tests.test_hostile_values_break_nothing, ("result",), RAN),
    (
        twins.trusts_records,
        tests.test_hostile_values_break_nothing,
        ("depends_on",),
        (BackendError, "cannot be read"),
    ),
    (
        twins.drops_unreadable,
        tests.test_a_record_that_cannot_be_read_fails_with_its_bytes,
        (),
        (AssertionError, r"\('pending', b'raw'\)"),
    ),
    (
        twins.reads_any_version,
        tests.test_a_later_releases_record_is_left_alone,
        (),
        (AssertionError, "0 == 1"),
    ),
]
any_broker = tests.any_broker


@pytest.mark.parametrize("any_broker", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("twin", "test", "arguments", "failure"), READERS, ids=[each[0].__name__ for each in READERS]
)
async def test_a_credulous_twin_is_found_out(
    any_broker: Any,
    monkeypatch: pytest.MonkeyPatch,
    twin: Any,
    test: Any,
    arguments: tuple[Any, ...],
    failure: Failure,
) -> None:
    twin(monkeypatch)
    with pytest.raises(failure[0], match=failure[1]):
        await test(any_broker, *arguments)
