"""Our classes take what the users' specification says, in its order."""

import dataclasses
import inspect

import pytest

from exporter import (
    ExportFilters,
    ExportFormat,
    ExportJob,
    ExportOptions,
    ExportService,
    ExportSource,
    sync,
)

SPECIFIED = {
    "export": ["source", "format", "options"],
    "get_job": ["job_id"],
    "download": ["job_id"],
    "list_exports": ["user_id", "status", "limit"],
    "cancel": ["job_id"],
    "register_format": ["format_def"],
}
FIELDS = {
    ExportSource: ["type", "id", "data"],
    ExportJob: [
        "id",
        "status",
        "format",
        "source",
        "progress",
        "file_path",
        "download_url",
        "expires_at",
        "error",
        "created_at",
        "completed_at",
    ],
    ExportOptions: ["template", "include_metadata", "filename", "ttl"],
    ExportFilters: [
        "user_id",
        "status",
        "format",
        "source_type",
        "created_after",
        "created_before",
    ],
}


@pytest.mark.parametrize("method", SPECIFIED)
def test_parameters(method: str) -> None:
    ours = list(inspect.signature(getattr(ExportService, method)).parameters)[1:]
    assert ours[: len(SPECIFIED[method])] == SPECIFIED[method]


@pytest.mark.parametrize("kind", FIELDS)
def test_fields(kind: type) -> None:
    assert [field.name for field in dataclasses.fields(kind)][: len(FIELDS[kind])] == FIELDS[kind]


def test_formats() -> None:
    specified = {
        "TXT": "txt",
        "JSON": "json",
        "SRT": "srt",
        "DOCX": "docx",
        "PDF": "pdf",
        "CSV": "csv",
    }
    assert {name: str(ExportFormat[name]) for name in specified} == specified


def test_positional_construction_as_in_the_specification() -> None:
    job = ExportJob("1", "pending", ExportFormat.TXT, ExportSource("custom", "1"), 0.0)  # type: ignore[arg-type]
    assert (job.file_path, job.error, job.completed_at) == (None, None, None)
    assert ExportOptions().include_metadata is True


def test_sync_has_the_same_methods() -> None:
    inner = {"storage", "history", "settings", "settings_type", "durable_example"}
    names = {name for name in dir(ExportService) if not name.startswith("_")}
    ours = names - inner - {"aclose"} | {"close", "asynchronous"}
    assert {name for name in dir(sync.ExportService(ExportService())) if name[0] != "_"} == ours


def _public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


@pytest.mark.parametrize("method", sorted(_public(sync.ExportService) - {"close"}))
def test_sync_signatures(method: str) -> None:
    ours = inspect.signature(getattr(sync.ExportService, method)).parameters
    theirs = inspect.signature(getattr(ExportService, method)).parameters
    assert [(p.name, p.kind, p.default) for p in ours.values()] == [
        (p.name, p.kind, p.default) for p in theirs.values()
    ]
