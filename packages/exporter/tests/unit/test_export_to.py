"""Files written here and now, without a job."""

import hashlib
import io
import json
from pathlib import Path

import pytest

from exporter import (
    ConfigurationError,
    Document,
    ExportError,
    ExportService,
    ExportSource,
    StorageError,
)
from small_exports import CSV, ROWS


def test_export_to(tmp_path: Path) -> None:
    service, seen = ExportService(), []

    @service.source("t")
    def load(id: str) -> dict:
        return {"rows": [{"a": 1}]}

    made = service.export_to(
        tmp_path / "x.csv", ExportSource("t", "1"), on_progress=lambda *n: seen.append(n)
    )
    assert (tmp_path / "x.csv").read_bytes() == CSV
    assert (made.size, made.records, made.sha256) == (6, 2, hashlib.sha256(CSV).hexdigest())
    assert seen == [(2, 1)]
    target = io.BytesIO()
    service.export_to(target, ROWS, "json", include_metadata=False)
    assert json.loads(target.getvalue()) == {"rows": [{"a": 1}]}
    (tmp_path / "keep.csv").write_text("old")
    with pytest.raises(ZeroDivisionError):
        service.export_to(tmp_path / "keep.csv", Document(records=(1 / 0 for _ in "x")))
    assert (tmp_path / "keep.csv").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keep.csv", "x.csv"]
    with pytest.raises(ConfigurationError, match="name a format"):
        service.export_to(io.BytesIO(), ROWS)
    with pytest.raises(ConfigurationError, match="no filename"):
        service.export_to(io.BytesIO(), ROWS, "csv", filename="x")
    with pytest.raises(StorageError):
        service.export_to(tmp_path / "no" / "x.csv", ROWS)

    async def stream():
        yield {"a": 1}

    with pytest.raises(ExportError, match="use export"):
        service.export_to(io.BytesIO(), Document(records=stream()), "csv")
