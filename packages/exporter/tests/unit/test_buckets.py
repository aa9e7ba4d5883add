"""Buckets without a server: URLs, and the pipe between the writing and the uploading thread."""

import os
import threading
from collections.abc import Iterator

import pytest

from exporter import ConfigurationError, ExportService, StorageError, UnsupportedOperationError
from exporter.adapters.storages.handoff import BrokenOff, Handoff
from exporter.adapters.storages.locations import located
from exporter.adapters.storages.parts import PART, PartWriter
from exporter.ports import Storage
from exporter.registry import storage_from_url
from small_exports import ROWS, ended

OPTIONS = frozenset({"endpoint", "region"})


def test_what_a_url_says() -> None:
    place = located("s3://id:s%2Fe+c@bucket/a/b%20c/?region=x", OPTIONS, example="")
    assert (place.bucket, place.prefix, place.user) == ("bucket", "a/b c", "id")
    assert place.password == "s/e+c"
    assert "s/e" not in repr(place)
    assert place.options == {"region": "x"}
    assert place.client_options() == {"allow_http": False}


@pytest.mark.parametrize(
    "url", ["s3://", "s3:///prefix", "s3://b:80/x", "s3://b/x#y", "s3://b?endpoint=ftp://x"]
)
def test_urls_without_a_bucket(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"bucket|endpoint"):
        located(url, OPTIONS, example="s3://bucket/prefix")


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_unknown_options_and_secrets(scheme: str) -> None:
    with pytest.raises(ConfigurationError, match="unknown option 'colour'") as caught:
        storage_from_url(f"{scheme}://id:geheim@bucket?colour=x")
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["s3://bucket/prefix", "gs://bucket/prefix", "az://bucket/prefix?account=name"]
)
async def test_constructing_connects_to_nothing(url: str) -> None:
    pytest.importorskip("obstore")
    pytest.importorskip("google.cloud.storage")
    storage = storage_from_url(url)
    assert storage.capabilities.signed
    with pytest.raises(StorageError, match="not a key"):
        await storage.sign("../up", 60)
    await storage.aclose()


def test_azure_needs_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("obstore")
    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError, match="Account must be specified"):
        storage_from_url("az://container")


async def test_storages_that_sign_nothing(service: ExportService) -> None:
    job = await ended(service, ROWS, "csv")
    with pytest.raises(UnsupportedOperationError, match="MemoryStorage signs no links"):
        await service.storage_link(job.id)
    with pytest.raises(UnsupportedOperationError, match="MemoryStorage has no links"):
        await Storage.sign(service.storage, "a/b", 60)


# -- the pipe ------------------------------------------------------------------------------------


def test_blocks_arrive_in_order() -> None:
    pipe, seen = Handoff(), list[bytes]()
    taker = threading.Thread(target=lambda: seen.extend(pipe))
    taker.start()
    for n in range(100):
        pipe.put(b"%d" % n)
    pipe.complete()
    taker.join()
    assert seen == [b"%d" % n for n in range(100)]


def test_both_ends_stop() -> None:
    pipe, ended = Handoff(), list[type]()

    def take() -> None:
        try:
            list(pipe)
        except BrokenOff:
            ended.append(BrokenOff)

    taker = threading.Thread(target=take)
    taker.start()
    pipe.break_off()
    taker.join()
    assert ended == [BrokenOff]
    with pytest.raises(BrokenOff):
        pipe.put(b"x")


class Recorded(PartWriter):
    """Keeps what is uploaded; refuses the part ``refuse``."""

    def __init__(self, refuse: int | None = None) -> None:
        super().__init__("k/f")
        self.refuse, self.parts, self.whole, self.done = refuse, list[int](), b"", False

    def put_whole(self, data: bytes) -> None:
        self.whole, self.done = data, True

    def put_parts(self, parts: Iterator[bytes]) -> None:
        for number, part in enumerate(parts):
            if number == self.refuse:
                raise StorageError("no more", retryable=True)
            self.parts.append(len(part))
        self.done = True


def test_a_small_file_is_put_whole() -> None:
    with Recorded() as writer:
        writer.write(b"ab")
        writer.write(b"c")
        writer.commit()
    assert (writer.whole, writer.parts) == (b"abc", [])


def test_parts_are_of_full_size() -> None:
    with Recorded() as writer:
        for _ in range(5):
            writer.write(bytes(PART // 2 + 1))
        writer.commit()
    assert writer.parts == [PART, PART, PART // 2 + 5]
    assert writer.done


@pytest.mark.parametrize("refuse", [0, 1, 2])
def test_what_the_store_refuses_is_raised_where_the_file_is_written(refuse: int) -> None:
    writer = Recorded(refuse)
    with pytest.raises(StorageError, match="no more"), writer:
        writer.write(bytes(3 * PART - 1))
        writer.commit()
    assert not writer.done
    writer.abort()
    with pytest.raises(StorageError, match="closed"):
        writer.commit()


def test_an_aborted_upload_is_not_completed() -> None:
    writer = Recorded()
    writer.write(bytes(3 * PART))
    writer.abort()
    assert not writer.done
    with pytest.raises(StorageError, match="closed"):
        writer.write(b"x")
