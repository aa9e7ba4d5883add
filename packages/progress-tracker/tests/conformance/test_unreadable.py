"""What others wrote into SQL and MongoDB runs nothing, and is our error."""

import pickle
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from progress_tracker import BackendError
from progress_tracker.ports import Filters, ProgressStore
from progress_tracker.testing import record


class _Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.fixture(params=["pickle", b'{"stages": 7', b"\xff\xfe", b"[]", b""])
def nonsense(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    if request.param == "pickle":
        return pickle.dumps(_Trap(tmp_path / "ran"))
    return bytes(request.param)


async def _reads(store: ProgressStore) -> None:
    for step in (store.get("x"), store.get_many(["x"]), store.list_records(Filters(), 5, None)):
        with pytest.raises(BackendError, match="cannot be read") as caught:
            await step
        assert not caught.value.retryable


@pytest.mark.parametrize("column", ["state", "ancestors", "status"])
async def test_sqlite(tmp_path: Path, nonsense: bytes, column: str) -> None:
    pytest.importorskip("sqlalchemy")
    from progress_tracker.adapters.sql import SQLStore

    async with SQLStore(f"sqlite:///{tmp_path}/p.db") as store:
        await store.create(record("x"))
        if column == "ancestors" and nonsense == b"[]":
            return  # that is what is there
        value = nonsense if column == "state" else nonsense.decode("latin-1")
        with sqlite3.connect(tmp_path / "p.db") as link:
            link.execute(f"UPDATE progress SET {column} = ?", (value,))
        link.close()
        await _reads(store)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("field", ["state", "status", "kids", "metadata", "epoch", "ancestors"])
async def test_mongo(tmp_path: Path, nonsense: bytes, field: str) -> None:
    pytest.importorskip("pymongo")
    pytest.importorskip("mongomock")
    from _common.mongo_stand_in import StandIn
    from progress_tracker.adapters.mongo import MongoStore

    server = StandIn()
    async with MongoStore("mongodb://x/y", client=server.connect) as store:
        await store.create(record("x"))
        documents = server.client["y"]["progress"]
        for value in (nonsense, {"$gt": ""}, 7.5, None):
            if (field, value) == ("metadata", nonsense):
                continue  # bytes are what metadata is not stored as, but could be
            documents.update_one({"_id": "x"}, {"$set": {field: value}})
            await _reads(store)
    assert not (tmp_path / "ran").exists()
