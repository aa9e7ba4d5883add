"""Finished files are read, linked to, and found by their links."""

import hashlib
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

from .._common.home import at_home, stream_at_home
from ..errors import (
    ConfigurationError,
    ExportError,
    ExportExpired,
    InvalidLink,
    StorageError,
    UnsupportedOperationError,
)
from ..models import (
    ExportJob,
)
from ..ports import JobRecord
from ..records import checked_ttl
from ..texts import quoted
from .base import ServiceBase

ByteRange = tuple[int, int | None]
_LONGEST = 604_800


class Downloads(ServiceBase):
    """The part of the service that hands out files."""

    @at_home
    async def download(self, job_id: str, user_id: str | None = None) -> bytes:
        """Return the whole file, checked against its recorded size and hash.

        Raises:
            ExportNotFound: There is no such export of this user.
            ExportExpired: Its file was removed by retention.
            ExportCancelled: It was cancelled.
            ExportError: It has not ended (``not_ready``) or failed (``failed``).
            StorageError: The file cannot be read whole.
        """
        return b"".join([block async for block in self.stream(job_id, user_id=user_id)])

    @stream_at_home
    async def stream(
        self,
        job_id: str,
        byte_range: ByteRange | None = None,
        *,
        user_id: str | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """Yield the file in blocks; ends with an error if it is not what was written.

        Args:
            job_id: Which export.
            byte_range: The first and the last byte wanted, counted from 0; ``(100, None)`` to the
                end.
            user_id: As for :meth:`get_job`.

        Raises:
            ConfigurationError: ``byte_range`` is no pair of whole numbers.
            ExportError: As for :meth:`download`; a range outside of the file (``range``).
        """
        record = await self._finished(job_id, user_id)
        assert record.key is not None
        assert record.size is not None
        start, stop = _bounds(byte_range, record.size)
        digest, seen = hashlib.sha256(), 0
        stream = self.storage.read(record.key, start, stop)
        try:
            async for block in stream:
                seen += len(block)
                if byte_range is None:
                    digest.update(block)
                yield block
        except StorageError:
            if await self.storage.head(record.key) is None:
                raise ExportExpired(f"the file of export {job_id!r} is gone") from None
            raise
        finally:
            if (close := getattr(stream, "aclose", None)) is not None:
                await close()
        if seen != stop - start or (byte_range is None and digest.hexdigest() != record.sha256):
            raise StorageError(f"the file of export {job_id!r} is not what was written")

    @at_home
    async def link(
        self,
        job_id: str,
        ttl: float | timedelta | None = None,
        user_id: str | None = None,
        single_use: bool = False,  # noqa: FBT001, FBT002  positions of the users' specification
    ) -> str:
        """Return a link to a finished export: its token, below ``storage.public_url`` if set.

        Args:
            job_id: Which export.
            ttl: Seconds until it expires; the export's own (24 hours) if None.
            user_id: Only this user may use it, and must own the export.
            single_use: It works once.

        Raises:
            ConfigurationError: ``downloads.signing_keys`` is empty, or ``token_required`` is off
                and more is asked of the link than a plain path can do.
            ExportError: As for :meth:`download`.
        """
        record = await self._finished(job_id, user_id)
        seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
        lifetime = checked_ttl(seconds, record.ttl)
        if not self.settings.downloads.token_required:
            if user_id is not None or single_use or ttl is not None:
                raise ConfigurationError(
                    "with downloads.token_required: false a link is a plain path; it cannot be "
                    "bound to a user, used once or given a ttl of its own"
                )
            return self._plain_link(record)
        token = self._token(record, self.clock.time() + lifetime, user_id, single_use=single_use)
        await self._keep_for(record, lifetime)
        return self._url(token)

    @at_home
    async def storage_link(
        self, job_id: str, ttl: float = 300.0, *, user_id: str | None = None
    ) -> str:
        """Return a URL at which the storage itself hands out a finished export.

        Make one for each download: it cannot be taken back, and ends early with the credentials
        that signed it. For links that are mailed or kept see :meth:`link`.

        Args:
            job_id: Which export.
            ttl: Seconds that it works, 1 to 604,800 (seven days, the most that stores allow).
            user_id: As for :meth:`get_job`.

        Raises:
            UnsupportedOperationError: The storage signs no URLs (files of this machine, memory).
            ConfigurationError: ``ttl`` is out of range, or what the storage signs with is missing.
            ExportError: As for :meth:`download`.
        """
        given: Any = ttl
        if not isinstance(given, int | float) or not 1 <= given <= _LONGEST:
            raise ConfigurationError(f"ttl must be 1 to {_LONGEST} seconds, not {quoted(given)}")
        record = await self._finished(job_id, user_id)
        assert record.key is not None
        if not self.storage.capabilities.signed:
            raise UnsupportedOperationError(
                f"{type(self.storage).__name__} signs no links; use link() or stream()"
            )
        return await self.storage.sign(record.key, float(ttl))

    async def _keep_for(self, record: JobRecord, lifetime: float) -> None:
        until = self.clock.time() + lifetime

        def edit(newest: JobRecord) -> bool:
            if newest.delete_at is None or newest.delete_at >= until:
                return False
            newest.delete_at = until
            return True

        await self._runner.change(record.id, edit)

    @at_home
    async def open_link(
        self, token: str, user_id: str | None = None, *, use: bool = True
    ) -> ExportJob:
        """Return the export that a link leads to, for whoever serves downloads.

        Args:
            token: What :meth:`link` made, without the public URL.
            user_id: Who asks, if known; must be the user that the link is bound to.
            use: Use up a link that works once; False only looks.

        Raises:
            InvalidLink: It is forged, malformed, bound to another user, or used up.
            ExportExpired: Its time is over, or the file is gone.
        """
        given: object = token
        if not isinstance(given, str):
            raise InvalidLink("this link is not valid")
        if not self.settings.downloads.token_required and "/" in token:
            return self._shown(await self._by_plain_link(token))
        signer, now = self._parts.signer, self.clock.time()
        claim = signer.check(token, now)
        if claim.user and (
            user_id is None or claim.user != signer.fingerprint(claim.job_id, user_id)
        ):
            raise InvalidLink("this link is not valid")
        record = await self.history.get(claim.job_id)
        if record is None or record.key != claim.key:
            raise ExportExpired("the file of this link is gone")
        if claim.once and use and not await self.history.use_once(claim.once, claim.expires):
            raise InvalidLink("this link was used already")
        return self._shown(record)

    async def _by_plain_link(self, path: str) -> JobRecord:
        import hmac

        record = await self.history.get(path.partition("-")[0])
        known = (record.key or "") if record is not None else ""
        if record is None or not hmac.compare_digest(
            known.encode(), path.encode("utf-8", "replace")
        ):
            raise InvalidLink("this link is not valid")
        if record.completed_at is None or self.clock.time() >= record.completed_at + record.ttl:
            raise ExportExpired("this link has expired")
        return record


def _bounds(byte_range: ByteRange | None, size: int) -> tuple[int, int]:
    if byte_range is None:
        return 0, size
    given: Any = byte_range
    if not isinstance(given, tuple | list) or len(given) != 2 or not _is_range(*given):
        raise ConfigurationError(
            f"byte_range must be (first, last) or (first, None), not {quoted(given)}"
        )
    first, last = byte_range
    stop = size if last is None else min(last + 1, size)
    if first < 0 or first >= stop:
        shown = f"{quoted(first)} to {quoted(last)}"
        raise ExportError(f"the range {shown} is outside of {size} bytes", reason="range")
    return first, stop


def _is_range(first: object, last: object) -> bool:
    ends = [first] if last is None else [first, last]
    return all(isinstance(end, int) and not isinstance(end, bool) for end in ends)
