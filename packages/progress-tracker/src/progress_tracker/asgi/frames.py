"""What is sent, encoded once for everybody who gets it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from .._common.web import sse_event
from ..models import Progress
from ..ports import Position
from ..wire import to_json

Message = Mapping[str, Any]


class Frame:
    """A state of one operation, or news of it, as messages of both protocols.

    ``last`` says that nothing follows about the operation.
    """

    __slots__ = ("_socket", "_stream", "body", "id", "last", "position", "progress")

    def __init__(self, id: str, body: dict[str, Any], *, last: bool) -> None:
        """Be news of ``id``: what a socket is sent, ``type`` included."""
        self.id, self.body, self.last = id, body, last
        self.progress: Progress | None = None
        self.position: Position | None = None
        self._socket: Message | None = None
        self._stream: Message | None = None

    @property
    def socket(self) -> Message:
        """The ASGI message for a WebSocket."""
        if self._socket is None:
            self._socket = text(self.body)
        return self._socket

    @property
    def stream(self) -> Message:
        """The ASGI message for a stream of server-sent events."""
        if self._stream is None:
            if self.progress is None:
                data = {key: value for key, value in self.body.items() if key != "type"}
                event = sse_event(data, event=self.body["type"])
            else:
                mark = event_id(self.progress)
                event = sse_event(self.body["progress"], event="progress", id=mark)
            self._stream = {"type": "http.response.body", "body": event, "more_body": True}
        return self._stream


def state_frame(progress: Progress) -> Frame:
    """Return the frame of a state."""
    body = {"type": "progress", "id": progress.id, "progress": to_json(progress)}
    made = Frame(progress.id, body, last=progress.is_final)
    made.progress, made.position = progress, progress.position
    return made


def gone_frame(id: str) -> Frame:
    """Say that there is no such operation (any more, or for this user)."""
    return Frame(id, {"type": "gone", "id": id, "error": "no such operation"}, last=True)


def broken_frame(id: str) -> Frame:
    """Say that the store does not answer: ask again later."""
    body = {"type": "unavailable", "id": id, "error": "the store does not answer"}
    return Frame(id, body, last=True)


def text(body: Any) -> Message:
    """Return the ASGI message that sends JSON over a WebSocket."""
    return {"type": "websocket.send", "text": msgspec.json.encode(body).decode()}


def event_id(progress: Progress) -> str:
    """Return what names a state in ``Last-Event-ID``: ``"epoch:version"``."""
    return f"{progress.epoch}:{progress.version}"
