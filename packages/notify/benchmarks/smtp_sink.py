"""Takes every mail and keeps none: ``python smtp_sink.py PORT``; ``HELP`` says how many came.

It offers what servers on the internet offer, and does as little as can be done: a server that takes
a mail apart takes longer for it than any client for sending it.
"""

import asyncio
import sys
from contextlib import suppress

_OFFERED = b"250-sink\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
_ANSWERS = {b"EHLO": _OFFERED, b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}
taken = 0


class Sink(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)
        self.link, self.held, self.in_data = transport, bytearray(), False
        self.link.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer what is whole, all at once."""
        global taken
        self.held += data
        said = bytearray()
        while True:
            mark = b"\r\n.\r\n" if self.in_data else b"\r\n"
            end = self.held.find(mark)
            if end < 0:
                break
            if self.in_data:
                taken += 1
                self.in_data = False
                said += b"250 taken\r\n"
            else:
                verb = bytes(self.held[:4]).upper()
                self.in_data = verb == b"DATA"
                count = b"214 %d\r\n" % taken
                said += count if verb == b"HELP" else _ANSWERS.get(verb, b"250 fine\r\n")
            del self.held[: end + len(mark)]
        if said:
            self.link.write(said)


async def main() -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
