"""Our classes take what the users' specification says, in its order."""

import dataclasses
import inspect

import pytest

from jobqueue import Job, JobQueue, JobStatus, sync

SPECIFIED = {
    "enqueue": ["name", "data", "priority", "delay", "max_attempts"],
    "schedule": ["name", "data", "scheduled_at"],
    "get_job": ["job_id"],
    "cancel_job": ["job_id"],
}
JOB_FIELDS = [
    "id", "name", "status", "data", "priority", "attempts", "max_attempts", "created_at",
    "started_at", "completed_at", "result", "error",
]  # fmt: skip


@pytest.mark.parametrize("method", SPECIFIED)
def test_parameters(method: str) -> None:
    ours = list(inspect.signature(getattr(JobQueue, method)).parameters)[1:]
    assert ours[: len(SPECIFIED[method])] == SPECIFIED[method]


def test_worker_takes_queue_name_too() -> None:
    parameters = inspect.signature(JobQueue.worker).parameters
    assert parameters["name"].default == "default"
    assert "queue_name" in parameters


def test_job_fields() -> None:
    assert [field.name for field in dataclasses.fields(Job)][: len(JOB_FIELDS)] == JOB_FIELDS


def test_job_statuses() -> None:
    specified = {"PENDING", "PROCESSING", "COMPLETED", "FAILED", "CANCELLED"}
    assert specified <= set(JobStatus.__members__)
    assert JobStatus.PENDING == "pending"


def _public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_sync_has_the_same_methods() -> None:
    names = {name for name in dir(JobQueue) if not name.startswith("_")}
    # what only the worker or adapters use, and what is not blocking
    inner = {
        "opened",
        "outbox",
        "insert_records",
        "drafts_for",
        "broker",
        "cron_entries",
        "cron_record",
        "settings",
        "settings_type",
        "durable_example",
    }
    ours = names - inner - {"aclose"} | {"close", "asynchronous"}
    assert {name for name in dir(sync.JobQueue("x")) if not name.startswith("_")} == ours  # type: ignore[arg-type]


@pytest.mark.parametrize("method", sorted(_public(sync.JobQueue) - {"close", "from_url"}))
def test_sync_signatures(method: str) -> None:
    ours = inspect.signature(getattr(sync.JobQueue, method)).parameters
    theirs = inspect.signature(getattr(JobQueue, method)).parameters
    assert [(p.name, p.kind, p.default) for p in ours.values()] == [
        (p.name, p.kind, p.default) for p in theirs.values()
    ]
