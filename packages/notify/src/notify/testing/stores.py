"""What every store passes."""

import asyncio

from .._common.clock import utc
from ..models import DeliveryFilters, NotificationFilters
from ..ports import NotificationStore
from ..stored import Added, Cancels, OtherPreferences
from .made import NOW, entry
from .stores_deliveries import DeliveriesSuite


class NotificationStoreSuite(DeliveriesSuite):
    """The behaviour of a store. Each docstring says what to mend when the test fails."""

    async def test_add_keeps_every_field(self, store: NotificationStore) -> None:
        """``get`` returns what was stored, bytes unchanged, text with any character."""
        made = entry(
            "änn \U0001f600", type="error", category="billing", idempotency_key="k",
            attachments=b"\x00\xff",
        )  # fmt: skip
        [added] = await store.add([made])
        assert added.created
        assert added.record.seq == 1
        found = await store.get(made.record.id, "änn \U0001f600")
        assert found is not None
        for name in ("id", "user_id", "type", "category", "created_at", "body", "attachments"):
            assert getattr(found, name) == getattr(made.record, name), name
        assert (found.fingerprint, found.idempotency_key, found.seq) == ("f", "k", 1)

    async def test_another_users_notification_is_absent(self, store: NotificationStore) -> None:
        """Every statement of a user has the user in its condition, and changes nothing else."""
        made = entry("ann", "email")
        await store.add([made])
        assert await store.get(made.record.id, "bob") is None
        for kind in ("read", "archived", "deleted"):
            done = await store.mark("bob", made.record.id, kind, NOW, cancel=True)
            assert done is None
        assert await store.mark_all("bob", None, None, NOW, Cancels(default=True)) == 0
        assert await store.erase("bob") == 0
        assert await store.unread("ann") == 1
        assert await store.last_seq("bob") == 0
        assert (await self.claimed(store)).delivery.user_id == "ann"

    async def test_the_same_id_is_stored_once(self, store: NotificationStore) -> None:
        """A second entry of an id gives back the first, with its deliveries and no event."""
        made = entry("ann", "email")
        await store.add([made])
        [again] = await store.add([entry("ann", "email", "sms", id=made.record.id)])
        assert not again.created
        assert {each.channel for each in again.deliveries} == {"in-app", "email"}
        assert await store.last_seq("ann") == 1

    async def test_an_entry_is_stored_under_the_preferences_it_was_made_under(
        self, store: NotificationStore
    ) -> None:
        """``add_under`` stores nothing where they are others, and says which."""
        made = entry("ann", "email", idempotency_key="k")
        assert await store.add_under(made, b"{}") == OtherPreferences(None)
        await store.set_preferences("ann", b"[1]", NOW)
        assert await store.add_under(made, b"{}") == OtherPreferences(b"[1]")
        assert await store.add_under(made, None) == OtherPreferences(b"[1]")
        assert (await store.counts())[0] == await store.last_seq("ann") == 0
        added = await store.add_under(made, b"[1]")
        assert isinstance(added, Added)
        assert (added.created, added.record.seq, len(added.deliveries)) == (True, 1, 2)
        again = await store.add_under(entry("ann", idempotency_key="k"), b"[1]")
        assert isinstance(again, Added)
        assert (again.created, again.record.id) == (False, made.record.id)
        assert (await self.kinds(store)) == [(1, "created", 1)]

    async def test_the_same_key_of_a_user_is_stored_once(self, store: NotificationStore) -> None:
        """``idempotency_key`` is unique per user, also within one call; other users are free."""
        first, second = entry(idempotency_key="k"), entry(idempotency_key="k")
        added = await store.add([first, second, entry("bob", idempotency_key="k")])
        assert [each.created for each in added] == [True, False, True]
        assert added[1].record.id == first.record.id

    async def test_many_users_at_once(self, store: NotificationStore) -> None:
        """A large call keeps order and results; what is there already is given back, unchanged."""
        old = entry("u3", "email", id="taken")
        keyed = entry("u5", idempotency_key="k")
        await store.add([old, keyed])
        await store.set_preferences("u7", b"{}", NOW)
        notes = [entry(f"u{n}", "email") for n in range(12)]
        notes[3] = entry("u3", "email", "sms", id="taken")
        notes[5] = entry("u5", idempotency_key="k")
        notes[9] = entry("u9", visible=False)
        added = await store.add(notes)
        assert [each.created for each in added] == [n not in {3, 5} for n in range(12)]
        assert added[3].record.id == "taken"
        assert {each.channel for each in added[3].deliveries} == {"in-app", "email"}
        assert added[5].record.id == keyed.record.id
        assert [each.record.seq for each in added] == [None if n == 9 else 1 for n in range(12)]
        for n in range(12):
            shown = n != 9
            assert await store.unread(f"u{n}") == shown, n
            assert await self.kinds(store, f"u{n}") == [(1, "created", 1)] * shown
        assert len(await store.claim({"email": 50}, NOW, NOW + 9)) == 10
        users = {f"u{n}" for n in range(12)}
        assert await store.get_many_preferences(users) == {"u7": b"{}"}
        assert await store.get_many_preferences(set()) == {}

    async def test_the_sequence_has_no_gap(self, store: NotificationStore) -> None:
        """Each user has a sequence of their own; every visible change takes the next number."""
        notes = [entry("ann"), entry("bob"), entry("ann"), entry("ann", visible=False)]
        added = await store.add(notes)
        assert [each.record.seq for each in added] == [1, 1, 2, None]
        assert await self.kinds(store) == [(1, "created", 1), (2, "created", 2)]
        first = notes[0].record.id
        assert await store.mark("ann", first, "read", NOW, cancel=False) is True
        assert await store.mark("ann", first, "read", NOW, cancel=False) is False
        assert await store.mark("ann", first, "archived", NOW, cancel=False) is True
        assert (await self.kinds(store))[2:] == [(3, "read", 1), (4, "archived", 1)]
        assert await store.last_seq("ann") == 4
        assert await store.last_seq("bob") == 1

    async def test_events_carry_the_notification_as_it_is(self, store: NotificationStore) -> None:
        """A deleted one leaves its events without a notification, so that numbers stay whole."""
        made = entry()
        await store.add([made])
        [event] = await store.events("ann", 0, 10)
        assert event.notification is not None
        assert event.notification.id == made.record.id
        assert await store.mark("ann", made.record.id, "deleted", NOW, cancel=False)
        events = await store.events("ann", 0, 10)
        assert [(each.kind, each.notification) for each in events] == [
            ("created", None), ("deleted", None),
        ]  # fmt: skip
        assert events[1].unread == 0
        assert await store.get(made.record.id, None) is None

    async def test_events_are_given_from_a_place(self, store: NotificationStore) -> None:
        """``since`` is excluded, and ``limit`` holds."""
        await store.add([entry() for _ in range(5)])
        assert [each.seq for each in await store.events("ann", 2, 2)] == [3, 4]

    async def test_changes_say_where_the_inbox_stands(self, store: NotificationStore) -> None:
        """``changes`` gives the events with place and count; so it does where there are none."""
        made = [entry() for _ in range(3)]
        await store.add([*made, entry("bob")])
        await store.mark("ann", made[0].record.id, "read", NOW, cancel=False)
        await store.mark("ann", made[1].record.id, "deleted", NOW, cancel=False)
        all_of = await store.changes("ann", 0, 10)
        assert list(all_of.events) == list(await store.events("ann", 0, 10))
        told = [(e.kind, e.notification and e.notification.id) for e in all_of.events]
        first, _, third = (each.record.id for each in made)
        assert told == [
            ("created", first), ("created", None), ("created", third), ("read", first),
            ("deleted", None),
        ]  # fmt: skip
        for since, limit, expected in (
            (0, 10, (5, 1, False, False)),
            (1, 2, (3, 1, True, False)),
            (5, 10, (5, 1, False, False)),
            (6, 10, (5, 1, False, True)),
            (None, 10, (5, 1, False, False)),
        ):
            found = await store.changes("ann", since, limit)
            assert (found.seq, found.unread, found.has_more, found.is_reset) == expected, since
            after = 5 if since is None else since
            assert [e.seq for e in found.events] == list(range(after + 1, after + 1 + limit))[
                : max(0, min(limit, 5 - after))
            ]
        nothing = await store.changes("eve", None, 10)
        assert (list(nothing.events), nothing.seq, nothing.unread) == ([], 0, 0)

    async def test_read_cancels_what_has_not_gone_out(self, store: NotificationStore) -> None:
        """``cancel`` ends pending deliveries, and leaves those that are being sent."""
        made = entry("ann", "email", "sms")
        await store.add([made])
        await self.claimed(store, "sms")
        await store.mark("ann", made.record.id, "read", NOW, cancel=True)
        page = await store.list_deliveries(
            DeliveryFilters(notification_id=made.record.id), 10, None
        )
        states = {each.channel: (str(each.status), each.reason) for each in page}
        assert states["email"] == ("cancelled", "read")
        assert states["sms"][0] == "sending"
        assert await store.claim({"email": 5}, NOW + 1000, NOW + 2000) == []

    async def test_mark_all_is_one_event(self, store: NotificationStore) -> None:
        """It reads what fits, says how much, and cancels by category."""
        await store.add(
            [
                entry("ann", "email", category="a"),
                entry("ann", "email", category="b"),
                entry("ann", "email", category="a", created_at=NOW + 50),
                entry("bob"),
            ]
        )
        cancels = Cancels(default=False, other=("a",))
        assert await store.mark_all("ann", NOW + 10, "a", NOW, cancels) == 1
        assert await store.mark_all("ann", None, None, NOW, cancels) == 2
        assert await store.mark_all("ann", None, None, NOW, cancels) == 0
        events = await store.events("ann", 3, 10)
        assert [(e.kind, e.category, e.before, e.unread) for e in events] == [
            ("all_read", "a", NOW + 10, 2), ("all_read", None, None, 0),
        ]  # fmt: skip
        due = await store.claim({"email": 10}, NOW + 10, NOW + 100)
        assert [each.record.category for each in due] == ["b"]
        assert await store.unread("bob") == 1

    async def test_the_inbox_is_paged_newest_first(self, store: NotificationStore) -> None:
        """Keyset paging: what arrives meanwhile moves no page; hidden ones are not listed."""
        notes = [entry() for _ in range(5)]
        await store.add([*notes, entry(visible=False)])
        page = await store.list_inbox("ann", NotificationFilters(), 2, None)
        assert [each.seq for each in page] == [5, 4]
        await store.add([entry()])
        assert page.next_cursor is not None
        page = await store.list_inbox("ann", NotificationFilters(), 3, int(page.next_cursor))
        assert [each.seq for each in page] == [3, 2, 1]
        assert page.next_cursor is None

    async def test_the_inbox_is_filtered(self, store: NotificationStore) -> None:
        """Each filter holds alone and with others."""
        notes = [entry(category="a"), entry(type="error"), entry(created_at=NOW + 60)]
        await store.add(notes)
        await store.mark("ann", notes[0].record.id, "read", NOW, cancel=False)
        await store.mark("ann", notes[1].record.id, "archived", NOW, cancel=False)
        for filters, expected in (
            (NotificationFilters(), [3, 1]),
            (NotificationFilters(unread_only=True), [3]),
            (NotificationFilters(category="a"), [1]),
            (NotificationFilters(type="error"), []),
            (NotificationFilters(type="error", archived=None), [2]),
            (NotificationFilters(archived=True), [2]),
            (NotificationFilters(since=utc(NOW + 60)), [3]),
            (NotificationFilters(before=utc(NOW + 60)), [1]),
        ):
            page = await store.list_inbox("ann", filters, 10, None)
            assert [each.seq for each in page] == expected, filters

    async def test_preferences_are_kept(self, store: NotificationStore) -> None:
        """The last write holds, and comes with claims."""
        assert await store.get_preferences("ann") is None
        for data in (b'{"a":1}', b"{}"):
            await store.set_preferences("ann", data, NOW)
        assert await store.get_preferences("ann") == b"{}"
        await store.add([entry("ann", "email")])
        assert (await self.claimed(store)).preferences == b"{}"

    async def test_purge_keeps_what_is_open(self, store: NotificationStore) -> None:
        """Read and unread ones have their own ages; open deliveries keep their notification."""
        old, read, fresh = entry(), entry(), entry(created_at=NOW + 100)
        held = entry("ann", "email")
        await store.add([old, read, fresh, held])
        await store.mark("ann", read.record.id, "read", NOW + 5, cancel=False)
        assert await store.purge(None, None, 10) == 0
        assert await store.purge(NOW + 5, None, 10) == 0
        assert await store.purge(NOW + 6, None, 10) == 1
        assert await store.purge(None, NOW + 50, 10) == 1
        assert await store.get(fresh.record.id, None) is not None
        assert await store.get(held.record.id, None) is not None
        kept = {each.notification_id for each in await store.events("ann", 0, 10)}
        assert kept == {fresh.record.id, held.record.id}

    async def test_erase_leaves_nothing(self, store: NotificationStore) -> None:
        """Notifications, deliveries, events, numbers and preferences of the user are gone."""
        await store.add([entry("ann", "email"), entry("bob", "email")])
        await store.set_preferences("ann", b"{}", NOW)
        assert await store.erase("ann") == 1
        assert await store.last_seq("ann") == 0
        assert await store.events("ann", 0, 10) == []
        assert await store.get_preferences("ann") is None
        assert list(await store.list_deliveries(DeliveryFilters(user_id="ann"), 10, None)) == []
        assert (await store.counts())[0] == 1
        [again] = await store.add([entry("ann")])
        assert again.record.seq == 1

    async def test_counts(self, store: NotificationStore) -> None:
        """Notifications, and deliveries by status."""
        await store.add([entry("ann", "email"), entry("ann")])
        assert await store.counts() == (2, {"pending": 1, "delivered": 2})

    async def test_writes_at_once_keep_the_numbers(self, store: NotificationStore) -> None:
        """Concurrent calls on one user take different numbers without a gap."""
        await asyncio.gather(*(store.add([entry()]) for _ in range(20)))
        assert [each.seq for each in await store.events("ann", 0, 100)] == list(range(1, 21))
