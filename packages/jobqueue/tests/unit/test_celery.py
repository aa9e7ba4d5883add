"""The Celery broker without a server: addresses, the bell, the application, the door."""

import logging
import os
import re
import select
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("celery")
pytest.importorskip("sqlalchemy")

from celery import Celery

from jobqueue import ConfigurationError, Job, JobQueue, Settings, sync
from jobqueue.adapters.celery.addresses import address_of
from jobqueue.adapters.celery.app import Leash
from jobqueue.adapters.celery.bell import ENOUGH, Bell
from jobqueue.adapters.celery.broker import CeleryBroker
from jobqueue.adapters.memory import MemoryBroker
from jobqueue.models import JobStatus
from jobqueue.testing import FakeClock, claim, finish, record
from jobqueue.worker.door import Door


class FakeChime:
    """A connection that notes rings, and breaks when told."""

    def __init__(self) -> None:
        self.rung: list[tuple[str, int]] = []
        self.broken = False
        self.gate = threading.Event()
        self.gate.set()
        self.closed = self.connected = 0

    def __call__(self) -> "FakeChime":
        if self.broken:
            raise OSError("amqp://me:secret@host refuses")
        self.connected += 1
        return self

    def strike(self, name: str, count: int) -> None:
        assert self.gate.wait(60)
        if self.broken:
            raise OSError("amqp://me:secret@host is gone")
        self.rung.append((name, count))

    def close(self) -> None:
        self.closed += 1
        raise OSError("closing fails too")


@pytest.fixture
def chime() -> FakeChime:
    return FakeChime()


@pytest.fixture
def bell(chime: FakeChime) -> Iterator[Bell]:
    made = Bell(chime, again=0.02)
    yield made
    chime.gate.set()
    made.close()


def until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


@pytest.mark.parametrize(
    ("url", "kombu", "prefix"),
    [
        ("celery+amqp://me:pw@host:5672/vhost", "amqp://me:pw@host:5672/vhost", "jobqueue-"),
        ("celery+amqp://host//?prefix=app_", "amqp://host//", "app_"),
        ("celery+redis://host/1?timeout=2.5", "redis://host/1", "jobqueue-"),
        ("celery+sqs://?region=eu-west-1", "sqs://", "jobqueue-"),
    ],
)
def test_addresses(url: str, kombu: str, prefix: str) -> None:
    found = address_of(url)
    assert (found.url, found.prefix, found.tls) == (kombu, prefix, None)
    assert "pw" not in repr(found)


def test_options_of_sqs() -> None:
    found = address_of("celery+sqs://?region=eu-west-1&tls=off").options
    assert (found["region"], found["is_secure"]) == ("eu-west-1", False)
    assert address_of("celery+sqs://").options["is_secure"] is True


def test_tls_checks_who_answers() -> None:
    amqps = address_of("celery+amqps://broker.example/?ssl_ca_certs=/ca.pem").tls
    assert amqps is not None
    assert amqps["server_hostname"] == "broker.example"
    assert (amqps["ca_certs"], amqps["cert_reqs"].name) == ("/ca.pem", "CERT_REQUIRED")
    rediss = address_of("celery+rediss://host?ssl_certfile=/c&ssl_keyfile=/k").tls
    assert rediss is not None
    assert rediss["ssl_check_hostname"] is True
    assert (rediss["ssl_certfile"], rediss["ssl_keyfile"]) == ("/c", "/k")


@pytest.mark.parametrize(
    "bad",
    ["celery+kafka://host", "celery://host", "celery+amqp://h?prefix=a/b", "celery+amqp://h?timeout=0",
     "celery+amqp://h?timeout=x", "celery+amqp://h?region=x", "celery+amqp://me:secret@h?x=1"],
)  # fmt: skip
def test_wrong_addresses_are_named(bad: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        address_of(bad)
    assert "secret" not in str(caught.value)


def test_names_of_celery_queues_differ_and_are_plain() -> None:
    address = address_of("celery+amqp://host")
    assert address.queue("default") == "jobqueue-default"
    names = ["a.b", "a-b", "a b", "ä", "x" * 200, "x" * 201, "", "Default"]
    names.append(address.queue("a.b").removeprefix(address.prefix))  # one that looks like a digest
    made = [address.queue(name) for name in names]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,80}", each) for each in made)


def test_rings_of_a_moment_go_together(bell: Bell, chime: FakeChime) -> None:
    chime.gate.clear()
    bell.ring("first")
    until(lambda: chime.connected)
    for _ in range(10):
        bell.ring("a", 30)
        bell.ring("b")
    chime.gate.set()
    until(lambda: len(chime.rung) == 3)
    assert chime.rung == [("first", 1), ("a", ENOUGH), ("b", 10)]
    assert chime.connected == 1


def test_an_outage_is_told_once_and_made_up_for(
    bell: Bell, chime: FakeChime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    chime.broken = True
    begun = time.monotonic()
    for _ in range(100):
        bell.ring("a")
    assert time.monotonic() - begun < 30
    until(lambda: "bell.failed" in caplog.text)
    threading.Event().wait(0.1)  # several more attempts
    assert caplog.text.count("bell.failed") == 1
    chime.broken = False
    until(lambda: "bell.restored" in caplog.text)
    assert chime.rung == [("a", ENOUGH)]
    assert "secret" not in caplog.text


def test_a_connection_that_was_cut_is_replaced(bell: Bell, chime: FakeChime) -> None:
    bell.ring("a")
    until(lambda: chime.rung)
    cut, chime.strike = chime.strike, lambda *_: 1 / 0  # type: ignore[method-assign]
    fresh = FakeChime()
    bell._connect = fresh
    bell.ring("b")
    until(lambda: fresh.rung)
    assert fresh.rung == [("b", 1)]
    assert cut is not None
    assert chime.closed == 1


def test_closing_delivers_and_ringing_connects_again(bell: Bell, chime: FakeChime) -> None:
    bell.ring("a")
    bell.close()
    assert chime.rung == [("a", 1)]
    bell.close()
    bell.ring("b")
    bell.close()
    assert (chime.rung, chime.connected, chime.closed) == ([("a", 1), ("b", 1)], 2, 2)


def test_closing_waits_for_no_server(bell: Bell, chime: FakeChime) -> None:
    chime.broken = True
    bell.ring("a")
    begun = time.monotonic()
    bell.close(patience=60.0)
    assert time.monotonic() - begun < 30


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_rings_by_itself(bell: Bell, chime: FakeChime) -> None:
    bell.ring("parent")
    until(lambda: chime.rung)
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        bell.ring("child")
        bell.close()
        os.write(writer, repr((chime.connected, chime.closed, chime.rung[-1])).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    # a connection of its own; the parent's is left alone (the one closing is of its own)
    assert os.read(reader, 999) == b"(2, 1, ('child', 1))"
    os.close(reader)
    os.close(writer)
    bell.ring("parent")
    until(lambda: len(chime.rung) == 2)


@pytest.fixture
def broker(bell: Bell, clock: FakeClock) -> CeleryBroker:
    return CeleryBroker(MemoryBroker(clock=clock), address_of("celery+amqp://host"), bell=bell)


async def test_what_makes_jobs_ready_rings(
    broker: CeleryBroker, bell: Bell, chime: FakeChime
) -> None:
    async def rung() -> list[tuple[str, int]]:
        bell.close()
        found, chime.rung = chime.rung, []
        return sorted(found)

    jobs = [record() for _ in range(3)]
    await broker.enqueue([*jobs, record(queue="other"), record(delay=60)])
    assert await rung() == [("default", 3), ("other", 1)]
    assert (await broker.enqueue(jobs))[0].reason == "same_id"
    assert await rung() == []
    await broker.change(jobs[0].id, JobStatus.CANCELLED)
    await rung()
    assert await broker.change(jobs[0].id, JobStatus.PENDING)
    assert await rung() == [("default", 1), ("other", 1)]
    await broker.set_paused("other", paused=True)
    assert await rung() == []
    await broker.set_paused("other", paused=False)
    assert await rung() == [("other", ENOUGH)]
    await broker.tick("cron", 1.0, [])
    await broker.tick("cron", 2.0, [record(queue="crons")])
    assert await rung() == [("crons", 1)]


async def test_an_outage_fails_no_enqueue(broker: CeleryBroker, chime: FakeChime) -> None:
    chime.broken = True
    [made] = await broker.enqueue([record()])
    assert made.reason == "created"
    [job] = (await claim(broker)).claimed
    assert not (await finish(broker, job)).refused


def test_it_can_what_its_store_can(tmp_path: Path) -> None:
    queue = JobQueue.from_url("celery+amqp://h", store=f"sqlite:///{tmp_path}/x.db")
    assert isinstance(queue.broker, CeleryBroker)
    assert queue.broker.capabilities == queue.broker.store.capabilities
    assert queue.broker.twin().capabilities.transactional
    assert not CeleryBroker.capabilities.durable


async def test_a_private_store_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="memory of one process"):
        await JobQueue.from_url("celery+amqp://h", store="memory://").get_stats()
    with pytest.raises(ConfigurationError, match="name the database or Redis"):
        await JobQueue.from_url("celery+amqp://h").get_stats()


@pytest.mark.parametrize(
    ("kind", "url", "transport"),
    [("rabbitmq", "amqp://host", "amqp"), ("rabbitmq", None, "amqp"), ("sqs", None, "sqs"),
     ("rabbitmq", "amqps://host", "amqps"), ("rabbitmq", "celery+amqps://host", "amqps")],
)  # fmt: skip
def test_settings_name_it(tmp_path: Path, kind: str, url: str | None, transport: str) -> None:
    section = {"type": kind, "connection_string": url, "store": f"sqlite:///{tmp_path}/x.db"}
    broker = JobQueue(Settings.from_mapping({"broker": section})).broker
    assert isinstance(broker, CeleryBroker)
    assert broker.address.transport == transport


@pytest.fixture
def queue(tmp_path: Path) -> JobQueue:  # type: ignore[override]
    made = JobQueue.from_url("celery+amqp://me:pw@host", store=f"sqlite:///{tmp_path}/x.db")

    @made.worker("x", queue="own")
    async def handler(job: Job) -> None: ...

    return made


def test_the_application(queue: JobQueue) -> None:
    conf = queue.celery_app().conf
    assert conf.broker_url == "amqp://me:pw@host"
    assert (conf.accept_content, conf.task_serializer) == (["json"], "json")
    assert (conf.worker_prefetch_multiplier, conf.task_acks_late) == (1, False)
    assert conf.worker_enable_remote_control is False
    assert sync.JobQueue(queue).celery_app().conf.broker_url == conf.broker_url


def test_a_queue_without_celery_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"celery\+amqp"):
        JobQueue.from_url("memory://").celery_app()


@pytest.mark.parametrize("url", [None, "amqp://me:pw@host", "pyamqp://other:name@host:5672//"])
def test_an_application_is_extended(queue: JobQueue, url: str | None) -> None:
    mine = Celery("mine", set_as_current=False, broker=url)

    @mine.task(name="plain", shared=False)
    def plain() -> None: ...

    assert queue.celery_app(mine) is mine
    assert {"plain", "jobqueue.ring"} <= set(mine.tasks)
    assert mine.conf.broker_url == (url or "amqp://me:pw@host")
    with pytest.raises(ConfigurationError, match="already"):
        queue.celery_app(mine)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"accept_content": ["json", "pickle"]}, "accept_content"),
        ({"broker_url": "amqp://secret:secret@elsewhere"}, "another server"),
        ({"broker_url": "redis://host"}, "another server"),
    ],
)
def test_an_unfit_application_is_refused(
    queue: JobQueue, settings: dict[str, Any], match: str
) -> None:
    mine = Celery("mine", set_as_current=False)
    mine.conf.update(settings)
    with pytest.raises(ConfigurationError, match=match) as caught:
        queue.celery_app(mine)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["unknown", "", None, 7, ["own"], {"own": 1}, b"own", "own\n"])
def test_only_known_names_open_the_door(queue: JobQueue, name: Any) -> None:
    door = Door(queue, lambda *_: None)
    assert set(door.names) == {"default", "own"}
    door.answer(name)
    assert not door._is_used()


def test_a_door_without_its_store_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    queue = JobQueue.from_url("celery+amqp://host", store="sqlite:////proc/nowhere/x.db")
    door = Door(queue, lambda *_: None)
    door.answer("default")
    assert "doorman.look_failed" in caplog.text
    door.close()


def test_the_leash() -> None:
    leash = Leash()
    assert select.select([leash.reader], [], [], 0)[0] == []
    leash.inherited()  # not a child: it stays open
    leash.pull()
    leash.pull()
    assert select.select([leash.reader], [], [], 0)[0] == [leash.reader]
    os.close(leash.reader)
    os.close(leash._writer)
