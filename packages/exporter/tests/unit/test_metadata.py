"""What callers attach to their jobs is kept with them, and shown where they are."""

from typing import Any

import pytest

from exporter import ConfigurationError, ExportService, ExportSource, Segment, sync
from exporter._common.telemetry import correlated
from small_exports import CSV, ROWS

FACTS = {"order": 7, "tags": ["a", None, True, 1.5], "customer": {"name": "Béla \U0001f600"}}


async def test_metadata_is_kept(service: ExportService) -> None:
    with correlated("c-1"):
        job = await service.export(ROWS, "csv", metadata=FACTS, user_id="u")
    assert job.metadata == {**FACTS, "correlation_id": "c-1"}
    for seen in (
        await service.wait(job.id, 60),
        await service.get_job(job.id),
        (await service.list_exports("u"))[0],
    ):
        assert seen.metadata == job.metadata
    assert await service.download(job.id) == CSV
    plain = await service.export(ROWS, "csv")
    assert plain.metadata == {}


async def test_metadata_of_a_batch_and_after_a_retry(service: ExportService) -> None:
    tries: list[str] = []

    @service.source("t")
    def load(source_id: str) -> dict:
        tries.append(source_id)
        return {"rows": [{"a": 1 / (len(tries) - 1)}]}

    batch = await service.export_batch([(ROWS, "csv")], metadata=FACTS)
    assert (await service.wait(batch.id, 60)).metadata == FACTS
    job = await service.export(ExportSource("t", "1"), "csv", metadata=FACTS)
    job = await service.wait(job.id, 60)
    assert job.status == "failed"
    await service.retry(job.id)
    done = await service.wait(job.id, 60)
    assert (done.status, done.metadata) == ("completed", FACTS)


async def test_a_name_of_the_service_stays_the_callers(service: ExportService) -> None:
    seen: list[Any] = []

    @service.source("t")
    async def load(source_id: str) -> list[Segment]:
        from exporter._common.telemetry import correlation_id

        seen.append(correlation_id())
        return [Segment("x")]

    with correlated("c-2"):
        job = await service.export(
            ExportSource("t", "1"), "txt", metadata={"correlation_id": "mine"}
        )
    assert (await service.wait(job.id, 60)).metadata == {"correlation_id": "mine"}
    assert seen == ["c-2"]


async def test_metadata_takes_no_part_in_telling_requests_apart(service: ExportService) -> None:
    first = await service.export(ROWS, "csv", idempotency_key="k", metadata={"n": 1})
    again = await service.export(ROWS, "csv", idempotency_key="k", metadata={"n": 2})
    assert (again.id, again.metadata) == (first.id, {"n": 1})


async def test_what_cannot_be_kept_is_refused(service: ExportService) -> None:
    deep: Any = "x"
    for _ in range(40):
        deep = [deep]
    wrong = (
        5, "text", [("a", 1)], {1: "a"}, {"a": {2: 1}}, {"a": float("nan")}, {"a": [float("inf")]},
        {"a": {1, 2}}, {"a": object()}, {"a": b"x"}, {"a": "\ud800"}, {"a\0": 1}, {"a": "\0"},
        {"a": 1 << 70}, {"a": 10**400}, {"a": deep}, {"a": "x" * 65_536},
    )  # fmt: skip
    for metadata in wrong:
        with pytest.raises(ConfigurationError, match="metadata"):
            await service.export(ROWS, "csv", metadata=metadata)
        with pytest.raises(ConfigurationError, match="metadata"):
            await service.export_batch([(ROWS, "csv")], metadata=metadata)
    assert await service.list_exports() == []


async def test_what_is_given_is_copied(service: ExportService) -> None:
    facts = {"list": [1]}
    job = await service.export(ROWS, "csv", metadata=facts)
    facts["list"].append(2)
    assert (await service.get_job(job.id)).metadata == {"list": [1]}


def test_metadata_from_blocking_code() -> None:
    with sync.ExportService.from_url("memory://") as blocking:
        job = blocking.export(ROWS, "csv", metadata=FACTS)
        assert blocking.wait(job.id, 60).metadata == FACTS
        batch = blocking.export_batch([(ROWS, "csv")], metadata=FACTS)
        assert blocking.get_job(batch.id).metadata == FACTS
