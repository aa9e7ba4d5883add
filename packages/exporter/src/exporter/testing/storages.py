"""What every storage passes."""

import asyncio

import pytest

from ..errors import StorageError
from ..ports import Storage


async def written(storage: Storage, key: str, data: bytes, *, commit: bool = True) -> None:
    """Write a file as the service does: in a thread, in blocks."""

    def work() -> None:
        with storage.open_writer(key, "application/octet-stream") as writer:
            for at in range(0, len(data), 100_000):
                writer.write(data[at : at + 100_000])
            if commit:
                writer.commit()

    await asyncio.to_thread(work)


async def _read(storage: Storage, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([block async for block in storage.read(key, start, end)])


class StorageSuite:
    """The behaviour of a storage. Each docstring says what to mend when the test fails."""

    @pytest.fixture
    def storage(self) -> Storage:
        """Return an empty storage; subclasses override this."""
        raise NotImplementedError("override the fixture 'storage'")

    async def test_what_is_written_is_read(self, storage: Storage) -> None:
        """Bytes come back unchanged, whatever their number."""
        for size in (0, 1, 100_000, 2_500_001):
            data = bytes(range(256)) * (size // 256 + 1)
            await written(storage, f"folder/{size}.bin", data[:size])
            assert await _read(storage, f"folder/{size}.bin") == data[:size]
            found = await storage.head(f"folder/{size}.bin")
            assert found is not None
            assert (found.key, found.size) == (f"folder/{size}.bin", size)

    async def test_ranges(self, storage: Storage) -> None:
        """``read`` gives the bytes from ``start`` to before ``end``, clipped to the file."""
        data = bytes(i % 251 for i in range(300_000))
        await written(storage, "a/b.bin", data)
        for start, end in ((0, 1), (5, 100), (299_999, None), (100, 300_000), (0, 10**9)):
            assert await _read(storage, "a/b.bin", start, end) == data[start:end]
        assert await _read(storage, "a/b.bin", 300_000, None) == b""

    async def test_nothing_is_visible_before_commit(self, storage: Storage) -> None:
        """Neither while it is written nor after an abort is there a file."""
        writer = await asyncio.to_thread(storage.open_writer, "k/new.bin", "text/plain")
        await asyncio.to_thread(writer.write, b"x" * 300_000)
        assert await storage.head("k/new.bin") is None
        assert [found async for found in storage.list_keys()] == []
        await asyncio.to_thread(writer.abort)
        await asyncio.to_thread(writer.abort)
        assert await storage.head("k/new.bin") is None

    async def test_an_error_leaves_the_earlier_file(self, storage: Storage) -> None:
        """A second write under a key replaces the file at its commit, or not at all."""
        await written(storage, "k/f.bin", b"first")
        await written(storage, "k/f.bin", b"second", commit=False)
        assert await _read(storage, "k/f.bin") == b"first"
        await written(storage, "k/f.bin", b"third")
        assert await _read(storage, "k/f.bin") == b"third"

    async def test_writing_after_the_end(self, storage: Storage) -> None:
        """A writer that has ended refuses more: ``StorageError``."""
        writer = await asyncio.to_thread(storage.open_writer, "k/f.bin", "text/plain")
        await asyncio.to_thread(writer.commit)
        await asyncio.to_thread(writer.abort)
        assert await storage.head("k/f.bin") is not None
        with pytest.raises(StorageError):
            await asyncio.to_thread(writer.write, b"more")
        with pytest.raises(StorageError):
            await asyncio.to_thread(writer.commit)

    async def test_delete(self, storage: Storage) -> None:
        """``delete`` says whether there was a file; a reader that has begun gets to its end."""
        data = b"y" * 3_000_000
        await written(storage, "k/f.bin", data)
        reader = storage.read("k/f.bin")
        first = await anext(reader)
        assert await storage.delete("k/f.bin") is True
        assert first + b"".join([block async for block in reader]) == data
        assert await storage.delete("k/f.bin") is False
        assert await storage.head("k/f.bin") is None
        with pytest.raises(StorageError):
            await _read(storage, "k/f.bin")

    async def test_listing(self, storage: Storage) -> None:
        """Keys come in order, those with the prefix only."""
        for key in ("b/2", "a/1", "b/1", "c"):
            await written(storage, key, key.encode())
        assert [found.key async for found in storage.list_keys()] == ["a/1", "b/1", "b/2", "c"]
        assert [found.size async for found in storage.list_keys("b/")] == [3, 3]

    @pytest.mark.parametrize(
        "key",
        [
            "",
            ".",
            "..",
            "../up",
            "a/../../up",
            "/etc/x",
            "a//b",
            "a/",
            "a\\b",
            "..\\up",
            "nul\0",
            "con",
            "a/aux.txt",
            "line\nbreak",
            "a:b",
            "x" * 300,
            "dot.",
            " lead",
            "\ud800",
            "\u202egpj",
            ".hidden",
            "1/2/3/4/5/6/7/8/9",
        ],
    )
    async def test_keys_cannot_lead_out(self, storage: Storage, key: str) -> None:
        """Whatever is no plain relative key is refused by every method: ``StorageError``."""
        with pytest.raises(StorageError):
            await written(storage, key, b"x")
        for call in (storage.head, storage.delete):
            with pytest.raises(StorageError):
                await call(key)
        with pytest.raises(StorageError):
            await _read(storage, key)

    async def test_unusual_names(self, storage: Storage) -> None:
        """Names of any script are keys, up to 200 bytes."""
        for name in ("\u4eca\u5929.txt", "a b (1).txt", "\U0001f600.md", "n" * 200):
            await written(storage, f"f/{name}", b"1")
            assert await storage.head(f"f/{name}") is not None

    async def test_writers_at_once(self, storage: Storage) -> None:
        """Many writers in many threads do not get into each other's way."""
        await asyncio.gather(
            *(written(storage, f"p/{n}.bin", bytes([n]) * 250_000) for n in range(12))
        )
        for n in range(12):
            assert await _read(storage, f"p/{n}.bin") == bytes([n]) * 250_000

    async def test_sweeping_spares_the_living(self, storage: Storage) -> None:
        """``sweep`` removes nothing of a writer that is at work, and no visible file."""
        await written(storage, "k/old.bin", b"old")
        writer = await asyncio.to_thread(storage.open_writer, "k/new.bin", "text/plain")
        await asyncio.to_thread(writer.write, b"new")
        await storage.sweep()
        await asyncio.to_thread(writer.commit)
        assert await _read(storage, "k/new.bin") == b"new"
        assert await _read(storage, "k/old.bin") == b"old"

    async def test_paths(self, storage: Storage) -> None:
        """Where ``capabilities.paths`` says so, ``local_path`` is where the bytes are."""
        await written(storage, "k/f.bin", b"here")
        path = storage.local_path("k/f.bin")
        assert (path is not None) == storage.capabilities.paths
        if path is not None:
            with open(path, "rb") as file:  # noqa: ASYNC230, PTH123  a few bytes, in a test
                assert file.read() == b"here"

    async def test_closing_twice_is_fine(self, storage: Storage) -> None:
        """``aclose`` is idempotent."""
        await storage.aclose()
        await storage.aclose()
