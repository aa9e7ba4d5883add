"""An index of Pinecone: where it is, and when its queries see a write."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from ..errors import BackendError, ConfigurationError
from .batches import batches, encoded
from .points import Json
from .rest import Answer, Rest

_VERSION = "2025-10"
_BATCH, _DELETED = 100, 1000
_REQUEST = 1_900_000
"""Bytes of the records of one request, below the 2 MB that Pinecone takes."""
_TRIES = 60
_WRITTEN, _SEEN = "x-pinecone-request-lsn", "x-pinecone-max-indexed-lsn"


class PineconeLink:
    """A namespace of an index, by their names; the data's host is asked of the control plane."""

    def __init__(
        self, base: str, api_key: str, name: str, space: str, spec: Mapping[str, str], *, tls: bool
    ) -> None:
        """Describe it; ``spec`` is where an index is made."""
        self._headers = {"api-key": api_key, "x-pinecone-api-version": _VERSION}
        self.control = Rest(base, self._headers, reason=_reason)
        self._name, self._space, self._spec, self._tls = name, space, dict(spec), tls
        self.sleep: Callable[[float], None] = time.sleep
        self.data: Rest | None = None
        self._probe: list[float] = []

    def open(self, dimension: int, *, create: bool) -> bool:
        """Return whether the index is there and ready, made if it may be.

        Raises:
            ConfigurationError: It has another dimension or metric.
        """
        path = f"/indexes/{self._name}"
        there = self.control.ask("GET", path, well=frozenset({404}))
        if there.status == 404:
            if not create:
                return False
            body = {
                "name": self._name, "dimension": dimension, "metric": "cosine",
                "spec": {"serverless": self._spec}, "tags": {"made_by": "semsearch"},
            }  # fmt: skip
            # 409: somebody else was faster
            self.control.ask("POST", "/indexes", body, well=frozenset({409}))
        with self.control.reading():
            found = self._ready(path)
            kind = (found.get("dimension"), found["metric"])
            if kind != (dimension, "cosine"):
                raise ConfigurationError(
                    f"the index {self._name!r} of Pinecone has {kind[0]} dimensions, metric "
                    f"{kind[1]!r}, not {dimension} and 'cosine': use another model or another index"
                )
            host = str(found["host"])
        base = host if "://" in host else f"{'https' if self._tls else 'http'}://{host}"
        self.data = Rest(base, self._headers, reason=_reason)
        self._probe = [1.0] + [0.0] * (dimension - 1)
        return True

    def _ready(self, path: str) -> Json:
        for _ in range(120):
            found: Json = self.control.ask("GET", path).body
            if (found.get("status") or {}).get("ready"):
                return found
            self.sleep(0.5)
        raise BackendError(f"{self.control.url}: the index is not ready yet", retryable=True)

    @property
    def rest(self) -> Rest:
        """The data plane."""
        assert self.data is not None  # open() was called
        return self.data

    def ask(self, path: str, body: Json) -> Answer:
        """Return what the data plane answers for the namespace."""
        return self.rest.ask("POST", path, {**body, "namespace": self._space})

    def fetch(self, ids: Sequence[str]) -> list[Json]:
        """Return the records that are there."""
        found: list[Json] = []
        for start in range(0, len(ids), _BATCH):
            pairs = [("ids", each) for each in ids[start : start + _BATCH]]
            query = urlencode([*pairs, ("namespace", self._space)])
            body = self.rest.ask("GET", f"/vectors/fetch?{query}").body
            found += (body.get("vectors") or {}).values()
        return found

    def upsert(self, records: Sequence[Json]) -> None:
        """Write records; queries see them when this returns.

        Raises:
            InvalidDocument: One is larger than a request may be; none was written.
        """
        answer: Answer | None = None
        pairs = [encoded(each) for each in records]
        raw, sizes = [each for each, _ in pairs], [size for _, size in pairs]
        for part in batches(raw, sizes, "Pinecone", size=_REQUEST, count=_BATCH, most=_REQUEST):
            answer = self.ask("/vectors/upsert", {"vectors": part})
        if answer is not None:
            last = records[-1]
            self._wait(answer, last["id"], last["metadata"])

    def delete(self, ids: Sequence[str]) -> None:
        """Delete records; no query sees them when this returns."""
        answer: Answer | None = None
        for start in range(0, len(ids), _DELETED):
            part = list(ids[start : start + _DELETED])
            answer = self.ask("/vectors/delete", {"ids": part})
        if answer is not None:
            self._wait(answer, ids[-1], None)

    def _wait(self, write: Answer, name: str, metadata: Json | None) -> None:
        """Wait until reads see a write, by its number, or by its last record where it has none."""
        written, pause = int(write.headers.get(_WRITTEN, 0)), 0.02
        for _ in range(_TRIES):
            seen = self._last_seen() if written else None
            if seen is not None:
                done = seen >= written
            else:
                found = self.fetch([name])
                done = [each.get("metadata") for each in found] == ([metadata] if metadata else [])
            if done:
                return
            self.sleep(pause)
            pause = min(1.0, pause * 1.5)
        raise BackendError("a write is not visible yet: it is there, and will be", retryable=True)

    def _last_seen(self) -> int | None:
        headers = self.ask("/query", {"vector": self._probe, "topK": 1}).headers
        return int(headers[_SEEN]) if _SEEN in headers else None

    def close(self) -> None:
        """Disconnect; a later call connects again."""
        self.control.close()
        if self.data is not None:
            self.data.close()


def _reason(found: Any) -> str:
    error = found.get("error")
    return str(error["code"]) if isinstance(error, dict) else f"code {int(found['code'])}"
