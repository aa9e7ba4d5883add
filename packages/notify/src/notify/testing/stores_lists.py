"""What every store passes of bundles, providers' reports, suppressions, topics and quotas."""

import asyncio
from typing import Any

import pytest

from ..models import DeliveryFilters, DeliveryStatus
from ..ports import NotificationStore
from ..stored import Verdict
from .made import NOW, entry


class ListsSuite:
    """The part of the store's suite that is about what is beside notifications."""

    @pytest.fixture
    def store(self) -> NotificationStore:
        """Return an empty store; subclasses override this."""
        raise NotImplementedError("override the fixture 'store'")

    async def kinds(
        self, store: NotificationStore, user_id: str = "ann"
    ) -> list[tuple[int, str, int]]:
        """Return a user's events: number, kind, unread."""
        return [(e.seq, e.kind, e.unread) for e in await store.events(user_id, 0, 100)]

    async def claimed(self, store: NotificationStore, channel: str = "email", **more: Any) -> Any:
        """Claim the one delivery that is due."""
        values: dict[str, Any] = {"now": NOW + 10, "until": NOW + 100, **more}
        [found] = await store.claim({channel: 10}, values["now"], values["until"])
        return found

    def verdict(self, claimed: Any, status: DeliveryStatus, **values: Any) -> Verdict:
        """Return how a claimed delivery ended."""
        given: dict[str, Any] = {"history": "[]", "attempts": claimed.delivery.attempts, **values}
        return Verdict(claimed.delivery.id, claimed.delivery.fence, status, **given)

    async def test_a_bundle_is_claimed_whole(self, store: NotificationStore) -> None:
        """All due ones of a bundle go to one claimer and count as one; later ones wait."""
        notes = [entry("ann", "email") for _ in range(5)]
        for place, each in enumerate(notes):
            each.deliveries[1].bundle = None if place == 4 else "b"
            each.deliveries[1].due_at = NOW + (50 if place == 3 else 0)
        await store.add(notes)
        parts = await asyncio.gather(*(store.claim({"email": 1}, NOW, NOW + 60) for _ in range(4)))
        sizes = sorted(len(part) for part in parts)
        assert sizes == [0, 0, 1, 3]
        whole = next(part for part in parts if len(part) == 3)
        assert {each.delivery.bundle for each in whole} == {"b"}
        again = await store.claim({"email": 2}, NOW + 60, NOW + 90)
        assert len(again) == 5, "a bundle whose lease ended comes back whole, with the late one"

    async def test_a_provider_reports_on_what_it_took(self, store: NotificationStore) -> None:
        """``find_sent`` knows the provider's id; ``amend`` changes nothing that has moved on."""
        await store.add([entry("ann", "email"), entry("bob", "email")])
        for each in await store.claim({"email": 2}, NOW, NOW + 60):
            user = each.delivery.user_id
            sent = self.verdict(
                each, DeliveryStatus.DELIVERED, provider="p", provider_id=f"id-{user}"
            )
            await store.finish([sent], NOW)
        found = await store.find_sent("p", "id-ann")
        assert found is not None
        assert (found.user_id, str(found.status)) == ("ann", "delivered")
        assert await store.find_sent("q", "id-ann") is None
        assert await store.find_sent("p", "id") is None
        was, found.status, found.reason = found.history, DeliveryStatus.INVALID, "bounced"
        found.history = '[[2.0,"bounced","p",null]]'
        assert await store.amend(found, was)
        assert not await store.amend(found, was)
        again = await store.find_sent("p", "id-ann")
        assert again is not None
        assert (str(again.status), again.reason) == ("invalid", "bounced")
        assert again.history == found.history
        await store.requeue(DeliveryFilters(user_id="ann"), [DeliveryStatus.INVALID], NOW)
        assert not await store.amend(again, again.history)

    async def test_suppressions_are_kept(self, store: NotificationStore) -> None:
        """By channel; the first reason stays until it is taken off."""
        assert await store.suppressed("email", "d") is None
        assert await store.suppress("email", "d", "bounced", NOW)
        assert not await store.suppress("email", "d", "complaint", NOW)
        assert await store.suppressed("email", "d") == "bounced"
        assert await store.suppressed("sms", "d") is None
        assert await store.suppress("email", "d", None, NOW)
        assert not await store.suppress("email", "d", None, NOW)
        assert await store.suppressed("email", "d") is None

    async def test_topics_are_paged(self, store: NotificationStore) -> None:
        """Members come by the code points of their ids; erasing a user ends their memberships."""
        users = ["Zoe", "ann", "bob", "änn", "\U0001f600"]
        for each in reversed(users):
            assert await store.set_member("t", each, NOW, member=True)
        assert not await store.set_member("t", "ann", NOW, member=True)
        await store.set_member("u", "ann", NOW, member=True)
        seen: list[str] = []
        while page := await store.members("t", seen[-1] if seen else "", 2):
            seen += page
        assert seen == sorted(users)
        assert list(await store.topics("ann")) == ["t", "u"]
        assert await store.set_member("u", "ann", NOW, member=False)
        assert not await store.set_member("u", "ann", NOW, member=False)
        await store.erase("ann")
        assert list(await store.topics("ann")) == []
        assert "ann" not in await store.members("t", "", 10)

    async def test_a_quota_is_taken_once(self, store: NotificationStore) -> None:
        """Calls at once share it; the next window is free; a clock that went back opens one."""
        waits = await asyncio.gather(*(store.take("ann", "email", 3, 60.0, NOW) for _ in range(5)))
        assert sorted(waits) == [0.0, 0.0, 0.0, 60.0, 60.0]
        assert await store.take("ann", "email", 3, 60.0, NOW + 20) == 40.0
        assert await store.take("ann", "sms", 3, 60.0, NOW) == 0.0
        assert await store.take("bob", "email", 3, 60.0, NOW) == 0.0
        assert await store.take("ann", "email", 3, 60.0, NOW + 60) == 0.0
        assert await store.take("ann", "email", 1, 60.0, NOW - 1000) == 0.0
        await store.erase("ann")
        assert await store.take("ann", "email", 1, 60.0, NOW) == 0.0

    async def test_preferences_are_swapped_as_they_were(self, store: NotificationStore) -> None:
        """``swap_preferences`` stores if nothing changed since, in one step: of many one does."""
        swap = store.swap_preferences
        assert await swap("ann", b"{}", b"[]", NOW) is False
        assert await store.get_preferences("ann") is None
        made = await asyncio.gather(*(swap("ann", b"%d" % n, None, NOW) for n in range(8)))
        assert sum(made) == 1
        first = await store.get_preferences("ann")
        assert first == b"%d" % made.index(True)
        made = await asyncio.gather(*(swap("ann", b"new %d" % n, first, NOW) for n in range(8)))
        assert sum(made) == 1
        assert await store.get_preferences("ann") == b"new %d" % made.index(True)
        assert await swap("ann", b"old", first, NOW) is False
        assert await swap("ann", b"first", None, NOW) is False
        assert await store.get_preferences("bob") is None
