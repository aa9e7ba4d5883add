"""Who tells many sockets at once."""

from typing import Final

from ._common.fanout import contenders
from ._common.serving import Server

OWN: Final = Server("notify", "servers.on_notify", "/ws/notifications?user=x&since=0", ours=True)
SERVERS: Final = contenders(OWN)
