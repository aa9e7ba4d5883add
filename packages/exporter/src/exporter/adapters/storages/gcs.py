"""Files in a bucket of Google Cloud Storage."""

import asyncio
import contextlib
import io
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from datetime import timedelta
from typing import Any

from ..._common.extras import require
from ..._common.urls import flag
from ...errors import ConfigurationError, StorageError
from ...filenames import check_key, content_disposition
from ...ports import Storage, StorageCapabilities, StoredFile, Writer
from .handoff import BrokenOff, Handoff
from .locations import located
from .parts import NO_BUCKET, PART, PartWriter

_PIECE = 1 << 20
_MANY = 1000
_OPTIONS = frozenset({"credentials", "endpoint", "anonymous"})


class GCSStorage(Storage):
    """A bucket of Google Cloud Storage, through ``google-cloud-storage``, in worker threads.

    Files of up to 8 MiB are put at once, larger ones as a resumable upload, which makes the object
    visible with its last part. Objects carry ``Content-Disposition: attachment``.
    """

    capabilities = StorageCapabilities(durable=True, shared=True, signed=True)

    def __init__(
        self, bucket: str, *, prefix: str = "", client: Any = None, retry_timeout: float = 60.0
    ) -> None:
        """Keep files in ``bucket``, below ``prefix``.

        Args:
            bucket: Its name.
            prefix: Folders before each key, without slashes at the ends.
            client: A ready ``google.cloud.storage.Client``; by default one with the machine's
                own credentials is made at the first call.
            retry_timeout: Seconds for which a request that failed is repeated.
        """
        self._retry_timeout = retry_timeout
        self._name, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self._client: Any = client
        self._owns_client = client is None
        self._how: dict[str, str] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_url(cls, url: str) -> "GCSStorage":
        """Return the storage of ``gs://bucket/prefix``.

        Credentials are found as Google's own tools find them. Options: ``credentials``, the path
        of a service account's JSON file; ``endpoint``, the URL of another store than Google's;
        ``anonymous`` (off), for emulators.

        Raises:
            ConfigurationError: The URL has no bucket or an unknown option.
            MissingExtraError: google-cloud-storage is not installed.
        """
        place = located(url, _OPTIONS, example="gs://bucket/prefix")
        require("google.cloud.storage", dist="exporter", extra="gcs")
        flag(place.options, "anonymous", default=False)
        made = cls(place.bucket, prefix=place.prefix)
        made._how = dict(place.options)
        return made

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._made_client()
            return self._client

    def _made_client(self) -> Any:
        library = require("google.cloud.storage", dist="exporter", extra="gcs")
        errors = require("google.auth.exceptions", dist="exporter", extra="gcs")
        how: dict[str, Any] = {}
        if endpoint := self._how.get("endpoint"):
            how["client_options"] = {"api_endpoint": endpoint}
        try:
            if flag(self._how, "anonymous", default=False):
                credentials = require("google.auth.credentials", dist="exporter", extra="gcs")
                made = library.Client("anonymous", credentials.AnonymousCredentials(), **how)
            elif path := self._how.get("credentials"):
                made = library.Client.from_service_account_json(path, **how)
            else:
                made = library.Client(**how)
        except (errors.GoogleAuthError, OSError, ValueError) as exc:
            raise ConfigurationError(f"no credentials for Google Cloud Storage: {exc}") from exc
        return made

    def _blob(self, key: str) -> Any:
        check_key(key)
        bucket = self._connected().bucket(self._name)
        return bucket.blob(f"{self._prefix}{key}", chunk_size=PART)

    def open_writer(self, key: str, content_type: str) -> Writer:
        blob = self._blob(key)
        blob.content_disposition = content_disposition(key.rpartition("/")[2])
        blob.cache_control = "private, no-store"
        return _BlobWriter(blob, key, {"content_type": content_type, "retry": self._retry()})

    def _retry(self) -> Any:
        policies = require("google.cloud.storage.retry", dist="exporter", extra="gcs")
        return policies.DEFAULT_RETRY.with_timeout(self._retry_timeout)

    async def head(self, key: str) -> StoredFile | None:
        check_key(key)
        return await asyncio.to_thread(self._head, key)

    def _head(self, key: str) -> StoredFile | None:
        try:
            with _translated(key):
                blob = self._blob(key)
                blob.reload(retry=self._retry())
        except FileNotFoundError:
            return None
        return StoredFile(key, int(blob.size or 0))

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        found = await self.head(key)
        if found is None:
            raise StorageError(f"no file {key!r}")
        stop = found.size if end is None else min(end, found.size)
        if start >= stop:
            return
        pipe, errors = Handoff(), list[BaseException]()
        thread = threading.Thread(
            target=self._download, args=(key, start, stop, pipe, errors),
            name=f"download-{key}", daemon=True,
        )  # fmt: skip
        thread.start()
        blocks = iter(pipe)
        try:
            while (block := await asyncio.to_thread(_next, blocks)) is not None:
                for at in range(0, len(block), _PIECE):
                    yield block[at : at + _PIECE]
            if errors:
                raise errors[0]
        finally:
            pipe.break_off()

    def _download(
        self, key: str, start: int, stop: int, pipe: Handoff, errors: list[BaseException]
    ) -> None:
        # one answer to one request: it is read to its end even if the object is deleted meanwhile
        into = _Into(pipe)
        try:
            with _translated(key):
                blob = self._blob(key)
                blob.chunk_size = None  # else one request for each part
                self._connected().download_blob_to_file(
                    blob, into, start=start, end=stop - 1,
                    raw_download=True, checksum=None, retry=self._retry(),
                )  # fmt: skip
            into.pass_on()
            pipe.complete()
        except FileNotFoundError:
            errors.append(StorageError(f"no file {key!r}"))
        except BaseException as exc:  # noqa: BLE001  raised where the file is read
            errors.append(exc)
        finally:
            if errors:
                pipe.break_off()

    async def delete(self, key: str) -> bool:
        check_key(key)
        return await asyncio.to_thread(self._delete, key)

    def _delete(self, key: str) -> bool:
        try:
            with _translated(key):
                self._blob(key).delete(retry=self._retry())
        except FileNotFoundError:
            return False
        return True

    async def list_keys(self, prefix: str = "") -> AsyncIterator[StoredFile]:
        with _translated(prefix, absent=NO_BUCKET):
            pages = await asyncio.to_thread(self._pages, prefix)
        while True:
            with _translated(prefix, absent=NO_BUCKET):
                page: list[StoredFile] | None = await asyncio.to_thread(_next, pages)
            if page is None:
                return
            for found in page:
                yield found

    def _pages(self, prefix: str) -> Iterator[list[StoredFile]]:
        found = self._connected().list_blobs(
            self._name, prefix=f"{self._prefix}{prefix}", page_size=_MANY, retry=self._retry()
        )
        cut = len(self._prefix)
        return ([StoredFile(b.name[cut:], int(b.size or 0)) for b in page] for page in found.pages)

    async def sign(self, key: str, ttl: float) -> str:
        check_key(key)
        return await asyncio.to_thread(self._sign, key, ttl)

    def _sign(self, key: str, ttl: float) -> str:
        endpoint = self._how.get("endpoint")
        more = {"api_access_endpoint": endpoint} if endpoint else {}
        try:
            found: str = self._blob(key).generate_signed_url(
                version="v4", expiration=timedelta(seconds=ttl), method="GET", **more
            )
        except AttributeError as exc:
            raise ConfigurationError(
                "links of Google Cloud Storage need the private key of a service account: give "
                "gs://bucket?credentials=/path/of/account.json"
            ) from exc
        return found

    async def aclose(self) -> None:
        self.detach()

    def detach(self) -> None:
        if self._owns_client:
            client, self._client = self._client, None
            if client is not None:
                client.close()


class _BlobWriter(PartWriter):
    def __init__(self, blob: Any, key: str, how: dict[str, Any]) -> None:
        super().__init__(key)
        self._blob, self._how = blob, how

    def put_whole(self, data: bytes) -> None:
        with _translated(self.key, absent=NO_BUCKET):
            self._blob.upload_from_string(data, **self._how)

    def put_parts(self, parts: Iterator[bytes]) -> None:
        with _translated(self.key, absent=NO_BUCKET):
            self._blob.upload_from_file(_From(parts), **self._how)


class _From(io.RawIOBase):
    """Parts as a file; the library reads one part at a time."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._at = parts, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        part = next(self._parts, b"")
        assert len(part) <= size
        self._at += len(part)
        return part

    def tell(self) -> int:
        return self._at


class _Into(io.RawIOBase):
    """A file that passes blocks on: the library writes a few KiB at a time."""

    def __init__(self, pipe: Handoff) -> None:
        self._pipe, self._held = pipe, bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._held += data
        if len(self._held) >= _PIECE:
            self.pass_on()
        return len(data)

    def pass_on(self) -> None:
        """Hand over what is held."""
        block, self._held = bytes(self._held), bytearray()
        if block:
            self._pipe.put(block)


def _next(blocks: Iterator[Any]) -> Any:
    try:
        return next(blocks, None)
    except BrokenOff:
        return None


@contextlib.contextmanager
def _translated(key: str, *, absent: str = "") -> Generator[None, None, None]:
    """Raise the library's errors as :class:`StorageError`.

    What is not there is ``FileNotFoundError``, unless ``absent`` says what it means.
    """
    cloud = require("google.api_core.exceptions", dist="exporter", extra="gcs")
    auth = require("google.auth.exceptions", dist="exporter", extra="gcs")
    media = require("google.cloud.storage.exceptions", dist="exporter", extra="gcs")
    try:
        yield
    except cloud.NotFound as exc:
        if absent:
            raise StorageError(f"{key!r}: {absent}") from exc
        raise FileNotFoundError(key) from exc
    except (cloud.Forbidden, cloud.Unauthorized) as exc:
        raise StorageError(f"{key!r}: the store refused our credentials") from exc
    except (cloud.GoogleAPIError, auth.GoogleAuthError, media.InvalidResponse, OSError) as exc:
        if isinstance(exc, FileNotFoundError):
            raise
        why = f"{type(exc).__name__}: {exc}".partition("\n")[0]
        raise StorageError(f"{key!r}: {why[:300]}", retryable=True) from exc
