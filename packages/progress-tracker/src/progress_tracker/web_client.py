"""Operations of a web application, seen from the command line; by the standard library alone."""

import asyncio
import contextlib
import functools
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from .errors import BackendError, ConfigurationError, ProgressConflict, ProgressNotFound
from .models import Page, Progress
from .rules import checks
from .wire import from_json

_TIMEOUT = 60.0
_LONGEST = 5.0


class WebClient:
    """A client of :mod:`progress_tracker.asgi`. Reconnects and resumes by itself."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        """Ask the application at ``url``, with ``headers`` (a token, say) on every request."""
        if not url.startswith(("http://", "https://")):
            raise ConfigurationError(f"not an http:// or https:// URL: {url.partition(':')[0]!r}")
        self._url, self._headers = url.rstrip("/"), dict(headers)

    def list_progress(self, **query: Any) -> Page[Progress]:
        """Return a page of the user's operations."""
        given = {key: value for key, value in query.items() if value is not None}
        with self._open(f"/?{urlencode(given, doseq=True)}", {}) as response:
            data = json.load(response)
        return Page.of([from_json(each) for each in data["items"]], data["nextCursor"])

    def get(self, id: str) -> Progress:
        """Return an operation.

        Raises:
            ProgressNotFound: There is none, or it is not yours.
            BackendError: The server cannot be reached, or fails.
        """
        with self._open(_path(id), {}) as response:
            return from_json(json.load(response))

    def cancel(self, id: str) -> Progress:
        """Ask the worker to stop; return the operation.

        Raises:
            ProgressNotFound: There is none, or it is not yours.
            ProgressConflict: It has ended.
            BackendError: The server cannot be reached, or fails.
        """
        with self._open(_path(id, "cancel"), {}, method="POST") as response:
            return from_json(json.load(response))

    async def watch(
        self, id: str, *, wait_for_create: float = 0.0
    ) -> AsyncGenerator[Progress, None]:
        """Yield states as the tracker's ``watch`` does, over reconnections."""
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        patience = checks.seconds(wait_for_create, "wait_for_create")
        stopped = threading.Event()
        newest: list[Progress | Exception] = []

        def put(item: Progress | Exception) -> None:
            newest[:] = [item]  # a slow reader gets the newest, never a queue
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody reads
                loop.call_soon_threadsafe(news.set)

        work = functools.partial(self._pump, id, put, stopped, time.monotonic() + patience)
        threading.Thread(target=work, daemon=True).start()
        try:
            while True:
                await news.wait()
                news.clear()
                if not newest:
                    continue  # two bells for one state
                item = newest.pop()
                if isinstance(item, Exception):
                    raise item
                yield item
                if item.is_final:
                    return
        finally:
            stopped.set()

    def _pump(
        self,
        id: str,
        put: Callable[[Progress | Exception], None],
        stopped: threading.Event,
        deadline: float,
    ) -> None:
        last, pause, tries = "", 0.2, 0
        while not stopped.is_set():
            try:
                for mark, state in self._states(id, last):
                    last, pause, tries = mark, 0.2, 0
                    put(state)
                    if state.is_final or stopped.is_set():
                        return
            except (ProgressNotFound, ConfigurationError) as exc:
                early = isinstance(exc, ProgressNotFound) and not last
                if not early or time.monotonic() >= deadline:
                    put(exc)
                    return
            except (BackendError, OSError, ValueError) as exc:
                tries += 1
                if tries >= 8:
                    put(exc if isinstance(exc, BackendError) else _fault(exc))
                    return
            stopped.wait(pause)
            pause = min(_LONGEST, pause * 2)

    def _states(self, id: str, last: str) -> Iterator[tuple[str, Progress]]:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
        with self._open(_path(id, "events"), headers) as response:
            for event in _events(response):
                if event.get("event") == "gone":
                    raise ProgressNotFound(f"operation {id!r} was deleted")
                if event.get("event") == "progress":
                    yield event.get("id", ""), from_json(json.loads(event["data"]))

    def _open(self, path: str, headers: Mapping[str, str], *, method: str = "GET") -> Any:
        request = urllib.request.Request(  # noqa: S310  the scheme was checked
            self._url + path, headers={**self._headers, **headers}, method=method
        )
        try:
            return urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310
        except urllib.error.HTTPError as exc:
            exc.close()
            if exc.code == 404:
                raise ProgressNotFound("no such operation, or it is not yours") from exc
            if exc.code == 409:
                raise ProgressConflict("the operation has ended") from exc
            if exc.code in {400, 401, 403}:
                raise ConfigurationError(f"the server answers {exc.code} {exc.reason}") from exc
            raise BackendError(f"the server answers {exc.code}", retryable=True) from exc
        except OSError as exc:
            raise _fault(exc) from exc


def _path(id: str, action: str = "") -> str:
    """Return the path of an operation, or its query where the path would be another route's."""
    if "/" in id or id in {"events", ".", ".."}:
        return f"/{action}?{urlencode({'id': id})}"
    return f"/{quote(id, safe='')}/{action}".removesuffix("/")


def _fault(exc: Exception) -> BackendError:
    return BackendError(f"the server cannot be reached: {exc}", retryable=True)


def _events(lines: Any) -> Iterator[dict[str, str]]:
    """Parse server-sent events (WHATWG HTML, section 9.2), as far as our server uses them."""
    event: dict[str, str] = {}
    for raw in lines:
        line = raw.decode().rstrip("\r\n")
        if not line:
            if event:
                yield event
            event = {}
            continue
        name, _, value = line.partition(":")
        if name:
            event[name] = value.removeprefix(" ")
