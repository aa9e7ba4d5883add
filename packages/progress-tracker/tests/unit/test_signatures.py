"""Our classes take what the users' specification says, in its order."""

import dataclasses
import inspect

import pytest

from progress_tracker import (
    Progress,
    ProgressOptions,
    ProgressStage,
    ProgressStatus,
    ProgressTracker,
    sync,
)

SPECIFIED = {
    "create": ["options"],
    "update": ["id", "progress", "stage"],
    "complete": ["id", "result"],
    "fail": ["id", "error"],
    "get": ["id"],
    "subscribe": ["id", "callback"],
}
PROGRESS = [
    "id", "status", "progress", "stage", "stages", "error", "metadata", "created_at", "updated_at",
    "completed_at",
]  # fmt: skip
ADDED = {
    "version", "epoch", "kind", "user_id", "parent_id", "current", "total", "message", "result",
    "error_type", "rate", "eta",
}  # fmt: skip
STAGE = ["name", "status", "progress", "started_at", "completed_at"]


@pytest.mark.parametrize("method", SPECIFIED)
def test_parameters(method: str) -> None:
    parameters = list(inspect.signature(getattr(ProgressTracker, method)).parameters.values())[1:]
    assert [each.name for each in parameters][: len(SPECIFIED[method])] == SPECIFIED[method]
    assert all(p.default is not p.empty for p in parameters[len(SPECIFIED[method]) :])


@pytest.mark.parametrize(("method", "name"), [("update", "stage"), ("complete", "result")])
def test_defaults(method: str, name: str) -> None:
    assert inspect.signature(getattr(ProgressTracker, method)).parameters[name].default is None


def test_fields() -> None:
    ours = [field.name for field in dataclasses.fields(Progress)]
    assert ours[: len(PROGRESS)] == PROGRESS
    assert set(ours) >= ADDED
    assert [field.name for field in dataclasses.fields(ProgressStage)][: len(STAGE)] == STAGE
    options = {field.name for field in dataclasses.fields(ProgressOptions)}
    assert options >= {"id", "stages", "metadata", "user_id"}
    assert Progress("x", ProgressStatus.PENDING, 0.0).stage is None


def test_statuses() -> None:
    assert {"PENDING", "PROCESSING", "COMPLETED", "FAILED"} <= set(ProgressStatus.__members__)
    assert ProgressStatus.PENDING == "pending"


def _public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_sync_has_the_same_methods() -> None:
    names = {name for name in dir(ProgressTracker) if not name.startswith("_")}
    inner = {"store", "settings_type", "durable_example"}
    ours = {name for name in dir(sync.ProgressTracker()) if not name.startswith("_")}
    assert ours == names - inner - {"aclose", "clock"} | {"close", "asynchronous"}


@pytest.mark.parametrize(
    "method", sorted(_public(sync.ProgressTracker) - {"close", "from_url", "settings"})
)
def test_sync_signatures(method: str) -> None:
    ours = inspect.signature(getattr(sync.ProgressTracker, method)).parameters
    theirs = inspect.signature(getattr(ProgressTracker, method)).parameters
    assert [(p.name, p.kind, p.default) for p in ours.values()] == [
        (p.name, p.kind, p.default) for p in theirs.values()
    ]
