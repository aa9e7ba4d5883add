"""Django Channels: a message to a group, by the layer that its documentation recommends.

The layer in memory goes through all channels and all members at each receive and each send, so that
5,000 sockets cost 5,000 x 5,000 looks a message: it did not get through in two minutes.
"""

import os
from typing import Any

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="of a benchmark",
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [os.environ["BENCH_REDIS"]]},
        }
    },
)
django.setup()

from channels.generic.websocket import AsyncJsonWebsocketConsumer  # noqa: E402  after setup
from channels.layers import get_channel_layer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402
from servers.event import PATH, event_of  # noqa: E402  each package has one
from starlette.applications import Starlette  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import Response  # noqa: E402
from starlette.routing import Route  # noqa: E402


class Consumer(AsyncJsonWebsocketConsumer):
    """A client."""

    async def connect(self) -> None:
        await self.channel_layer.group_add("x", self.channel_name)
        await self.accept()
        await self.send_json({"hello": 1})

    async def disconnect(self, _code: int) -> None:
        await self.channel_layer.group_discard("x", self.channel_name)

    async def tell(self, event: dict[str, Any]) -> None:
        await self.send_json(event["data"])


async def go(request: Request) -> Response:
    """Send to the group once."""
    data = event_of(1, request.query_params["mark"])
    await get_channel_layer().group_send("x", {"type": "tell", "data": data})
    return Response()


app = ProtocolTypeRouter(
    {
        "http": Starlette(routes=[Route("/go", go, methods=["POST"])]),
        "websocket": URLRouter([path(PATH.removeprefix("/"), Consumer.as_asgi())]),
    }
)
