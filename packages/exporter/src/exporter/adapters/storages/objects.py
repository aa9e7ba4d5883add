"""What the object stores have in common that obstore speaks to: one writer, one way to read."""

import contextlib
from collections.abc import AsyncIterator, Generator, Iterator
from datetime import timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from ..._common.extras import require
from ...errors import ConfigurationError, StorageError
from ...filenames import check_key, content_disposition
from ...ports import Storage, StorageCapabilities, StoredFile, Writer
from .locations import Location
from .parts import NO_BUCKET, PART, PartWriter

if TYPE_CHECKING:
    from obstore.store import AzureStore, S3Store

PIECE = 1 << 20
_RETRIES: dict[str, Any] = {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}


class ObjectStorage(Storage):
    """Files as objects of a bucket, through obstore.

    Files of up to 8 MiB are put at once, larger ones as a multipart upload that is completed last;
    a file that breaks off is never visible and its parts are deleted. What a killed process leaves
    behind can be deleted by a rule of the bucket only (S3: ``AbortIncompleteMultipartUpload``).
    Objects carry ``Content-Disposition: attachment``. obstore's threads do not survive a fork:
    fork before the first call.
    """

    capabilities: ClassVar[StorageCapabilities] = StorageCapabilities(
        durable=True, shared=True, signed=True
    )
    extra: ClassVar[str]

    def __init__(self, store: "S3Store | AzureStore") -> None:
        """Keep the files in ``store``, below its prefix."""
        self._store: Any = store
        self._obs: Any = require("obstore", dist="exporter", extra=self.extra)

    def open_writer(self, key: str, content_type: str) -> Writer:
        parts = check_key(key)
        attributes = {
            "Content-Type": content_type,
            "Content-Disposition": content_disposition(parts[-1]),
            "Cache-Control": "private, no-store",
        }
        return _ObjectWriter(self._obs, self._store, key, attributes)

    async def head(self, key: str) -> StoredFile | None:
        check_key(key)
        try:
            with translated(key):
                found = await self._obs.head_async(self._store, key)
        except FileNotFoundError:
            return None
        return StoredFile(key, found["size"])

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        check_key(key)
        options: dict[str, Any] | None = None
        if start or end is not None:
            # servers refuse a range that begins behind the end
            found = await self.head(key)
            size = found.size if found else 0
            stop = size if end is None else min(end, size)
            if found and start >= stop:
                return
            options = {"range": (start, stop)} if found else None
        try:
            with translated(key):
                answer = await self._obs.get_async(self._store, key, options=options)
                blocks = aiter(answer.stream(min_chunk_size=PIECE))
            while True:
                with translated(key):
                    block = await anext(blocks, None)
                if block is None:
                    return
                whole = bytes(block)
                for at in range(0, len(whole), PIECE):
                    yield whole[at : at + PIECE]
        except FileNotFoundError as exc:
            raise StorageError(f"no file {key!r}") from exc

    async def delete(self, key: str) -> bool:
        # the stores do not say whether there was one
        if await self.head(key) is None:
            return False
        with contextlib.suppress(FileNotFoundError), translated(key):
            await self._obs.delete_async(self._store, key)
        return True

    async def list_keys(self, prefix: str = "") -> AsyncIterator[StoredFile]:
        # the stores filter by whole folders
        folder = prefix.rpartition("/")[0] or None
        with translated(prefix, absent=NO_BUCKET):
            pages = aiter(self._obs.list(self._store, folder))
        while True:
            with translated(prefix, absent=NO_BUCKET):
                page = await anext(pages, None)
            if page is None:
                return
            for found in page:
                if found["path"].startswith(prefix):
                    yield StoredFile(found["path"], found["size"])

    async def sign(self, key: str, ttl: float) -> str:
        check_key(key)
        with translated(key):
            found: str = await self._obs.sign_async(self._store, "GET", key, timedelta(seconds=ttl))
        return found


class _ObjectWriter(PartWriter):
    def __init__(self, obs: Any, store: Any, key: str, attributes: dict[str, str]) -> None:
        super().__init__(key)
        self._obs, self._store, self._attributes = obs, store, attributes

    def put_whole(self, data: bytes) -> None:
        self._put(data, use_multipart=False)

    def put_parts(self, parts: Iterator[bytes]) -> None:
        # when the iterator fails, obstore deletes the parts that are there
        self._put(parts, use_multipart=True, chunk_size=PART, max_concurrency=2)

    def _put(self, data: Any, **options: Any) -> None:
        with translated(self.key, absent=NO_BUCKET):
            self._obs.put(self._store, self.key, data, attributes=self._attributes, **options)


@contextlib.contextmanager
def translated(key: str, *, absent: str = "") -> Generator[None, None, None]:
    """Raise the store's errors as :class:`StorageError`.

    What is not there stays ``FileNotFoundError``, unless ``absent`` says what it means.
    """
    errors = require("obstore.exceptions", dist="exporter", extra="s3")
    try:
        yield
    except FileNotFoundError as exc:
        if absent:
            raise StorageError(f"{key!r}: {absent}") from exc
        raise
    except (errors.BaseError, OSError) as exc:
        raise _fault(key, exc, errors) from exc


def _fault(key: str, exc: Exception, errors: ModuleType) -> StorageError:
    if isinstance(
        exc, PermissionError | errors.PermissionDeniedError | errors.UnauthenticatedError
    ):
        return StorageError(f"{key!r}: the store refused our credentials")
    # the rest of the message repeats the request
    why = (str(exc).splitlines() or [type(exc).__name__])[0].partition(": <")[0]
    return StorageError(f"{key!r}: {why[:300]}", retryable=True)


def store_of(kind: str, place: Location, extra: str, **config: Any) -> Any:
    """Return obstore's ``kind`` of store for a place.

    Raises:
        ConfigurationError: Something is missing, or obstore does not take it.
        MissingExtraError: obstore is not installed.
    """
    stores = require("obstore.store", dist="exporter", extra=extra)
    errors = require("obstore.exceptions", dist="exporter", extra=extra)
    try:
        return getattr(stores, kind)(
            place.bucket, prefix=place.prefix or None, retry_config=_RETRIES, **config
        )
    except errors.BaseError as exc:
        raise ConfigurationError(f"{kind}: {str(exc).splitlines()[0]}") from exc
