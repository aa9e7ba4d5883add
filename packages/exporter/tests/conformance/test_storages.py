"""Every storage passes the suite."""

from pathlib import Path

import pytest

from exporter.adapters.storages.local import LocalStorage
from exporter.adapters.storages.memory import MemoryStorage
from exporter.ports import Storage
from exporter.testing import StorageSuite


class TestLocal(StorageSuite):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return LocalStorage(tmp_path / "exports")


class TestMemory(StorageSuite):
    @pytest.fixture
    def storage(self) -> Storage:
        return MemoryStorage()
