"""Messages by a stream: what was sent while the connection was cut is read afterwards."""

from collections.abc import Callable
from typing import Any, ClassVar

from . import messages
from .clients import client_of, close
from .listening import BEAT, Listening

_MOST = 1000


class StreamsBackplane(Listening):
    """A Redis stream of the last 10,000 messages. Not for clusters."""

    how: ClassVar[str] = "stream"
    replays: ClassVar[bool] = True
    _last: str | None = None

    async def _listen_once(self, receiver: messages.Receiver, ready: Callable[[], None]) -> None:
        # an answer may take as long as the server waits for a message
        client = client_of(self._url, timeout=self._timeout + BEAT)
        name = f"{self._prefix}backplane"
        try:
            if self._last is None:
                now = self._clock.monotonic()
                self._last = await self._newest(client, name)
                receiver.begin(await self._last_number())
                self._heard(now)
            ready()
            while not self._ends():
                asked = self._clock.monotonic()
                found: Any = await client.execute_command(
                    "XREAD", "COUNT", _MOST, "BLOCK", int(BEAT * 1000), "STREAMS", name, self._last
                )
                entries = _entries(found)
                for number, data in entries:
                    self._last = number
                    receiver.receive(data)
                if len(entries) < _MOST:
                    self._heard(asked)  # else there is more that was sent before
                if not found:
                    receiver.expect(await self._last_number())
        finally:
            await close(client)

    @staticmethod
    async def _newest(client: Any, name: str) -> str:
        found = await client.xrevrange(name, count=1)
        return bytes(found[0][0]).decode() if found else "0-0"

    def detach(self) -> None:
        super().detach()
        self._last = None


def _entries(found: Any) -> list[tuple[str, bytes]]:
    """Return numbers and bodies, whichever protocol answered: RESP3 gives a mapping."""
    if not found:
        return []
    streams = found.values() if isinstance(found, dict) else [stream[1] for stream in found]
    flat: list[tuple[str, bytes]] = []
    for entries in streams:
        # redis-py may wrap the entries of a mapping in one more list
        rows = entries[0] if entries and isinstance(entries[0][0], list | tuple) else entries
        flat += [(bytes(number).decode(), _body(fields)) for number, fields in rows]
    return flat


def _body(fields: Any) -> bytes:
    if isinstance(fields, dict):
        return bytes(fields[b"m"])
    return bytes(fields[1])
