"""What every broker does with jobs that depend on others."""

import pytest

from .._common.clock import FakeClock
from ..models import JobFilters, JobStatus
from ..ports import Broker, Record
from .made import claim, finish, record


async def status_of(broker: Broker, job: Record) -> str:
    """Return the status of a job that must be there."""
    found = await broker.get(job.id)
    assert found is not None
    return str(found.status)


class DependenciesSuite:
    """Part of :class:`BrokerSuite`: parents, children, and what becomes of them."""

    async def test_a_child_waits_for_all_parents(self, broker: Broker) -> None:
        """A job is delayed until the last of its parents completed, then pending."""
        first, second = record("p1"), record("p2")
        child = record("child", depends_on=(first.id, second.id))
        made = await broker.enqueue([first, second, child])
        assert [each.reason for each in made] == ["created"] * 3
        assert made[2].record.status == "delayed"
        jobs = (await claim(broker)).claimed
        assert {each.name for each in jobs} == {"p1", "p2"}
        await finish(broker, jobs[0])
        assert await status_of(broker, child) == "delayed"
        assert not (await claim(broker)).claimed
        await finish(broker, jobs[1])
        assert await status_of(broker, child) == "pending"
        [run] = (await claim(broker)).claimed
        assert (run.id, run.depends_on) == (child.id, (first.id, second.id))

    async def test_completed_parents_count_at_once(self, broker: Broker) -> None:
        """A job whose parents completed before is pending; naming one twice is no matter."""
        parent = record()
        await broker.enqueue([parent])
        [job] = (await claim(broker)).claimed
        await finish(broker, job)
        [made] = await broker.enqueue([record("child", depends_on=(parent.id, parent.id))])
        assert made.record.status == "pending"
        assert [each.name for each in (await claim(broker)).claimed] == ["child"]

    async def test_unknown_parents_are_refused(self, broker: Broker) -> None:
        """A job with a parent that is not there is not stored; others of the call are."""
        orphan = record(depends_on=("nobody",))
        made = await broker.enqueue([orphan, record("well")])
        assert [each.reason for each in made] == ["no_parent", "created"]
        assert await broker.get(orphan.id) is None
        assert [each.name for each in (await claim(broker)).claimed] == ["well"]

    async def test_retries_of_a_parent_do_not_count(self, broker: Broker) -> None:
        """Only the end of a parent matters: not its retries, nor being released."""
        parent = record()
        child = record(depends_on=(parent.id,))
        await broker.enqueue([parent, child])
        [job] = (await claim(broker)).claimed
        await finish(broker, job, "retry", error="E")
        [job] = (await claim(broker)).claimed
        await finish(broker, job, "released")
        assert await status_of(broker, child) == "delayed"

    async def test_failure_goes_down_the_line(self, broker: Broker) -> None:
        """A failed parent ends its children as each one says, and they theirs in turn."""
        parent = record()
        kinds = ("fail", "skip", "run")
        children = [record(k, depends_on=(parent.id,), on_parent_failure=k) for k in kinds]
        below = [record(f"{each.name}-below", depends_on=(each.id,)) for each in children]
        await broker.enqueue([parent, *children, *below])
        [job] = (await claim(broker)).claimed
        await finish(broker, job, "failed", error="E")
        found = {each.name: each for each in await broker.list_jobs(JobFilters(), 50, None)}
        ends = {name: str(found[name].status) for name in (*kinds, "fail-below", "skip-below")}
        assert ends == {
            "fail": "failed", "skip": "cancelled", "run": "pending",
            "fail-below": "failed", "skip-below": "failed",
        }  # fmt: skip
        assert found["run-below"].status == "delayed"
        assert (found["fail"].error or "").startswith("ParentFailed: ")
        assert parent.id in (found["fail"].error or "")
        assert found["fail"].finished_at is not None

    async def test_cancelling_removing_and_vanishing_count_as_failure(
        self,
        broker: Broker,
        clock: FakeClock,
    ) -> None:
        """Cancelled, removed and given-up parents end their children too."""
        parents = [record("cancelled"), record("removed"), record("vanishes", max_attempts=1)]
        children = [record(depends_on=(each.id,)) for each in parents]
        await broker.enqueue([*parents, *children])
        assert await broker.change(parents[0].id, JobStatus.CANCELLED)
        assert await broker.remove([parents[1].id]) == 1
        assert len((await claim(broker)).claimed) == 1
        await clock.advance(1000)
        await claim(broker)
        assert [await status_of(broker, each) for each in children] == ["failed"] * 3

    async def test_children_of_a_removed_parent_end_at_that_moment(
        self, broker: Broker, clock: FakeClock
    ) -> None:
        """They end when the parent is removed, not when it was made: they are kept from then on."""
        parent = record()
        child = record(depends_on=(parent.id,), on_parent_failure="skip", result_ttl=60.0)
        await broker.enqueue([parent, child])
        await clock.advance(1000)
        assert await broker.remove([parent.id]) == 1
        found = await broker.get(child.id)
        assert found is not None
        assert found.finished_at == pytest.approx(clock.time(), abs=5)

    @pytest.mark.parametrize("end", ["failed", "completed"])
    async def test_an_id_that_waited_before(self, broker: Broker, end: str) -> None:
        """A job waits for its own parents, not for those of a deleted one that had its id."""
        old, own = record("old"), record("own")
        await broker.enqueue([old, own])
        for parent in (old, old, own):
            await broker.remove(["again"])
            [made] = await broker.enqueue([record("child", id="again", depends_on=(parent.id,))])
            assert (made.reason, made.record.status) == ("created", "delayed")
        jobs = {each.name: each for each in (await claim(broker)).claimed}
        await finish(broker, jobs["old"], end)
        assert await status_of(broker, made.record) == "delayed"
        await finish(broker, jobs["own"])
        assert [each.id for each in (await claim(broker)).claimed] == ["again"]

    async def test_a_parent_that_failed_before(self, broker: Broker) -> None:
        """A job enqueued after the failure of its parent fares as if it had been there."""
        parent = record()
        await broker.enqueue([parent])
        await broker.change(parent.id, JobStatus.CANCELLED)
        kinds = ("fail", "skip", "run")
        children = [record(depends_on=(parent.id,), on_parent_failure=k) for k in kinds]
        await broker.enqueue(children)
        ends = [await status_of(broker, each) for each in children]
        assert ends == ["failed", "cancelled", "pending"]

    async def test_a_failed_child_frees_its_unique_key(self, broker: Broker) -> None:
        """A child that ends with its parent holds its key no longer."""
        parent = record()
        await broker.enqueue([parent, record(depends_on=(parent.id,), unique_key="k")])
        await broker.change(parent.id, JobStatus.CANCELLED)
        [made] = await broker.enqueue([record(unique_key="k")])
        assert made.reason == "created"

    async def test_a_child_can_be_delayed_too(self, broker: Broker, clock: FakeClock) -> None:
        """A child with a time of its own waits for both."""
        parent = record()
        child = record(depends_on=(parent.id,), delay=60.0)
        await broker.enqueue([parent, child])
        [job] = (await claim(broker)).claimed
        await finish(broker, job)
        assert not (await claim(broker)).claimed
        await clock.advance(61)
        assert [each.id for each in (await claim(broker)).claimed] == [child.id]

    async def test_a_cancelled_child_stays_cancelled(self, broker: Broker) -> None:
        """The end of a parent does not wake a child that has ended."""
        parent = record()
        child = record(depends_on=(parent.id,))
        await broker.enqueue([parent, child])
        assert await broker.change(child.id, JobStatus.CANCELLED)
        [job] = (await claim(broker)).claimed
        await finish(broker, job)
        assert await status_of(broker, child) == "cancelled"
        assert not (await claim(broker)).claimed

    async def test_parents_that_leave_nothing(self, broker: Broker) -> None:
        """A parent whose result is not kept lets its children go all the same."""
        parent = record(result_ttl=0.0)
        child = record(depends_on=(parent.id,))
        await broker.enqueue([parent, child])
        [job] = (await claim(broker)).claimed
        await finish(broker, job)
        assert await broker.get(parent.id) is None
        assert [each.id for each in (await claim(broker)).claimed] == [child.id]
