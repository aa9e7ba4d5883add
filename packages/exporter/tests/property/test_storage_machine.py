"""Storages against a plain model."""

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exporter import StorageError
from exporter.adapters.storages.local import LocalStorage
from exporter.adapters.storages.memory import MemoryStorage
from exporter.ports import Storage, Writer

KEYS = st.sampled_from(["a", "b", "d/a", "d/b", "d/e/f"])


class StorageMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner, self.storage = asyncio.Runner(), self.made()
        self.files: dict[str, bytes] = {}
        self.open: list[tuple[str, Writer, bytearray]] = []

    def made(self) -> Storage:
        return MemoryStorage()

    def teardown(self) -> None:
        for _, writer, _ in self.open:
            writer.abort()
        self.runner.close()

    @rule(key=KEYS)
    def begin(self, key: str) -> None:
        self.open.append((key, self.storage.open_writer(key, "text/plain"), bytearray()))

    @rule(pick=st.integers(0, 9), data=st.binary(max_size=50))
    def write(self, pick: int, data: bytes) -> None:
        if self.open:
            _, writer, held = self.open[pick % len(self.open)]
            writer.write(data)
            held += data

    @rule(pick=st.integers(0, 9), commit=st.booleans())
    def finish(self, pick: int, commit: bool) -> None:
        if self.open:
            key, writer, held = self.open.pop(pick % len(self.open))
            if commit:
                writer.commit()
                self.files[key] = bytes(held)
            writer.abort()

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        assert self.runner.run(self.storage.delete(key)) == (self.files.pop(key, None) is not None)

    @rule()
    def sweep(self) -> None:
        assert self.runner.run(self.storage.sweep()) == 0

    @rule(key=KEYS, start=st.integers(0, 60), end=st.integers(0, 60))
    def read(self, key: str, start: int, end: int) -> None:
        async def whole() -> bytes:
            return b"".join([part async for part in self.storage.read(key, start, end)])

        if key in self.files:
            assert self.runner.run(whole()) == self.files[key][start:end]
        else:
            with pytest.raises(StorageError):
                self.runner.run(whole())

    @invariant()
    def the_listing_is_the_model(self) -> None:
        async def listed() -> dict[str, int]:
            return {found.key: found.size async for found in self.storage.list_keys()}

        assert self.runner.run(listed()) == {key: len(data) for key, data in self.files.items()}


class LocalMachine(StorageMachine):
    def made(self) -> Storage:
        self.folder = Path(tempfile.mkdtemp())
        return LocalStorage(self.folder / "root")

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


TestMemoryStorage = StorageMachine.TestCase
TestMemoryStorage.settings = settings(max_examples=30, stateful_step_count=25)
TestLocalStorage = LocalMachine.TestCase
TestLocalStorage.settings = settings(max_examples=20, stateful_step_count=20)
