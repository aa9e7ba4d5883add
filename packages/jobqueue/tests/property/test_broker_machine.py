"""Brokers against a plain model, under random histories."""

import asyncio
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from _common.server import Server
from jobqueue.adapters.memory import MemoryBroker
from jobqueue.models import JobStatus
from jobqueue.ports import Broker, Record
from jobqueue.registry import broker_from_url
from jobqueue.testing import LEASE, FakeClock, claim, finish, record

T = TypeVar("T")


class BrokerMachine(RuleBasedStateMachine):
    """Enqueues, claims, ends, cancels and lets time pass; the model is a dict of statuses."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.status: dict[str, str] = {}
        self.attempts: dict[str, int] = {}
        self.until: dict[str, float] = {}
        self.due: dict[str, float] = {}
        self.held: list[Record] = []
        self.count = 0

    def make(self) -> Broker:
        return MemoryBroker(clock=self.clock)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @initialize()
    def start(self) -> None:
        self.broker = self.make()

    def _tick(self) -> None:
        """What every step does before it claims."""
        now = self.clock.time()
        for job_id, status in self.status.items():
            if status == "delayed" and self.due[job_id] <= now:
                self.status[job_id] = "pending"
            if status == "processing" and self.until[job_id] < now:
                spent = self.attempts[job_id] >= 3
                self.status[job_id] = "failed" if spent else "pending"

    @rule(delay=st.sampled_from([0.0, 0.0, 5.0, 30.0]), priority=st.integers(-3, 3))
    def enqueue(self, delay: float, priority: int) -> None:
        # ids of our own: hypothesis must find the same history again
        made = record(id=f"job{self.count:04}", delay=delay, priority=priority)
        self.do(self.broker.enqueue([made]))
        self.count += 1
        self.status[made.id] = "delayed" if delay else "pending"
        self.due[made.id] = self.clock.time() + delay
        self.attempts[made.id] = 0

    @rule(limit=st.integers(1, 4))
    def claim(self, limit: int) -> None:
        step = self.do(claim(self.broker, limit))
        self._tick()
        ready = [job_id for job_id, status in self.status.items() if status == "pending"]
        assert len(step.claimed) == min(limit, len(ready))
        for job in step.claimed:
            assert self.status[job.id] == "pending"
            self.status[job.id] = "processing"
            self.attempts[job.id] += 1
            assert job.attempts == self.attempts[job.id]
            self.until[job.id] = self.clock.time() + LEASE
            self.held.append(job)

    @rule(data=st.data(), kind=st.sampled_from(["completed", "failed", "retry", "released"]))
    def end(self, data: st.DataObject, kind: str) -> None:
        if not self.held:
            return
        job = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        # the end is looked at before expired leases are taken back
        current = self.status[job.id] == "processing" and self.fences(job)
        step = self.do(finish(self.broker, job, kind, delay=7.0 if kind == "retry" else 0.0))
        assert step.refused == ([] if current else [job.id])
        if current:
            names = {"retry": "delayed", "released": "pending"}
            self.status[job.id] = names.get(kind, kind)
            self.due[job.id] = self.clock.time() + 7.0
            self.attempts[job.id] -= kind == "released"
        self._tick()

    def fences(self, job: Record) -> bool:
        newest = max((each.fence for each in self.held if each.id == job.id), default=0)
        return job.fence > newest and not self._superseded(job)

    def _superseded(self, job: Record) -> bool:
        stored = self.do(self.broker.get(job.id))
        return stored is None or stored.fence != job.fence

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if not self.status:
            return
        job_id = data.draw(st.sampled_from(sorted(self.status)))
        possible = self.status[job_id] in {"pending", "delayed", "processing"}
        assert self.do(self.broker.change(job_id, JobStatus.CANCELLED)) == possible
        if possible:
            self.status[job_id] = "cancelled"

    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        if not self.status:
            return
        job_id = data.draw(st.sampled_from(sorted(self.status)))
        possible = self.status[job_id] in {"failed", "cancelled"}
        assert self.do(self.broker.change(job_id, JobStatus.PENDING)) == possible
        if possible:
            self.status[job_id], self.attempts[job_id] = "pending", 0

    @rule(seconds=st.sampled_from([1.0, 6.0, 11.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.shift(seconds)

    @invariant()
    def figures_agree(self) -> None:
        if not hasattr(self, "broker"):
            return
        stats = self.do(self.broker.stats(None))
        for status in JobStatus:
            there = sum(each == status for each in self.status.values())
            assert getattr(stats, str(status)) == there, status

    def teardown(self) -> None:
        if hasattr(self, "broker"):
            self.do(self.broker.aclose())
        self.loop.close()


class ServerMachine(BrokerMachine):
    """On a server, whose tables are emptied for each history."""

    url = ""

    def make(self) -> Broker:
        broker = broker_from_url(self.url, clock=self.clock)
        self.do(broker.setup())
        for table in ("jobs", "edges", "gates", "ticks", "paused", "workers"):
            self.do(broker._db.fetch(f"DELETE FROM jobqueue_{table}"))  # type: ignore[attr-defined]
        return broker


class RedisMachine(BrokerMachine):
    """On Redis, under a prefix of its own for each history."""

    url = ""

    def make(self) -> Broker:
        return broker_from_url(f"{self.url}?prefix=m{time.time_ns()}", clock=self.clock)


class SQLMachine(BrokerMachine):
    def make(self) -> Broker:
        from jobqueue.adapters.sql.sqlite import SQLiteBroker

        self.folder = tempfile.TemporaryDirectory()
        return SQLiteBroker(
            f"sqlite:///{Path(self.folder.name)}/j.db", synchronous="OFF", clock=self.clock
        )

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "folder"):
            self.folder.cleanup()


class CeleryMachine(SQLMachine):
    """A store that rings over Redis."""

    url = ""

    def make(self) -> Broker:
        from jobqueue.adapters.celery.broker import CeleryBroker

        address = f"celery+{self.url}?prefix=m{time.time_ns()}-"
        return CeleryBroker.from_url(address, store=super().make())


_quick = settings(max_examples=30, stateful_step_count=25, suppress_health_check=list(HealthCheck))


class TestMemoryMachine(BrokerMachine.TestCase):
    settings = settings(_quick, max_examples=60)


class TestSQLMachine(SQLMachine.TestCase):
    settings = _quick

    def runTest(self) -> None:
        pytest.importorskip("sqlalchemy")
        super().runTest()


_few = settings(_quick, max_examples=10)


class TestServers:
    @pytest.mark.integration
    @pytest.mark.parametrize("server", ["postgres_url", "mysql_url"])
    def test_machine(self, server: str, request: pytest.FixtureRequest) -> None:
        url = request.getfixturevalue(server)
        machine = type("Machine", (ServerMachine,), {"url": url})
        run_state_machine_as_test(machine, settings=_few)

    @pytest.mark.integration
    @pytest.mark.parametrize("server", ["redis_server", "valkey_server"])
    def test_machine_on_redis(self, server: str, request: pytest.FixtureRequest) -> None:
        pytest.importorskip("redis")
        url = request.getfixturevalue(server).url
        machine = type("Machine", (RedisMachine,), {"url": url})
        run_state_machine_as_test(machine, settings=_quick)

    @pytest.mark.integration
    def test_machine_on_celery(self, redis_server: Server) -> None:
        pytest.importorskip("kombu")
        pytest.importorskip("sqlalchemy")
        machine = type("Machine", (CeleryMachine,), {"url": redis_server.url})
        run_state_machine_as_test(machine, settings=_few)
