"""A service on Redis, and channels over HTTP, outlive the loop of their first use."""

import asyncio
import gc
import warnings

import pytest

pytest.importorskip("redis")
pytest.importorskip("httpx")
pytest.importorskip("uvicorn")

from notify import MemoryDirectory, Notification, NotificationService
from notify.adapters.http.sendgrid import SendGridChannel
from standins.mail import KEY, SendGrid
from standins.serving import serve

pytestmark = pytest.mark.integration


def test_two_loops_in_turn(redis_url: str, redis_prefix: str) -> None:
    channel = SendGridChannel(KEY, from_address="us@example.com", base_url="http://127.0.0.1:9")
    service = NotificationService(
        channels=[channel], directory=MemoryDirectory({("ann", "email"): "ann@example.com"})
    )
    service.configure(
        {
            "storage": {"connection_string": f"{redis_url}?prefix={redis_prefix.strip(':')}"},
            "delivery": {"background": False},
        }
    )
    taken: list[int] = []

    async def main() -> None:
        async with serve(SendGrid()) as provider:
            channel.base_url = provider.url
            await service.send(Notification(title="t", user_id="ann", channels=["in-app", "email"]))
            await service.deliver_due()
            taken.append(len(provider.taken))
            feed = service.watch("ann", 0)
            assert (await anext(feed)).seq == 1
            await feed.aclose()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            asyncio.run(main())
        asyncio.run(service.aclose())
        gc.collect()
    assert taken == [1, 1, 1]
