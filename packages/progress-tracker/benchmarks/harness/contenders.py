"""Who tells many sockets at once."""

from typing import Final

from ._common.fanout import contenders
from ._common.serving import Server

OWN: Final = Server(
    "progress-tracker",
    "servers.on_progress_tracker",
    "/ws/progress/x?user={n}",
    ready=b'"x"',
    ours=True,
)
SERVERS: Final = contenders(OWN)
