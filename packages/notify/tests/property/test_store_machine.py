"""The embedded stores against a plain model, step by step, for several users."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from notify import NotificationFilters
from notify.adapters.memory import MemoryStore
from notify.models import DeliveryStatus
from notify.stored import (
    Cancels,
    Verdict,
)
from notify.testing import NOW
from notify.testing import entry as make_entry

USERS = st.sampled_from(["ann", "bob"])


class StoreMachine(RuleBasedStateMachine):
    """The inbox is a list, the sequence a list of events, the outbox a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.store = self.make()
        self.notes: dict[str, dict] = {}
        self.events: dict[str, list[tuple[str, int]]] = {"ann": [], "bob": []}
        self.outbox: dict[str, dict] = {}
        self.now = NOW
        self.held: list = []
        self.count = 0

    def make(self):
        return MemoryStore()

    def teardown(self) -> None:
        self.run(self.store.aclose())
        self.loop.close()

    def run(self, step):
        return self.loop.run_until_complete(step)

    def unread(self, user: str) -> int:
        mine = (n for n in self.notes.values() if n["user"] == user and n["shown"])
        return sum(not n["read"] and not n["archived"] for n in mine)

    def happened(self, user: str, kind: str) -> None:
        self.events[user].append((kind, self.unread(user)))

    @rule(
        user=USERS,
        key=st.none() | st.sampled_from(["k1", "k2"]),
        shown=st.booleans(),
        mail=st.booleans(),
    )
    def add(self, user, key, shown, mail) -> None:
        self.count += 1
        made = make_entry(
            user, *(["email"] if mail else []), visible=shown, idempotency_key=key,
            due_at=self.now, id=f"n{self.count:04}",
        )  # fmt: skip
        for place, each in enumerate(made.deliveries):  # ids that are the same in every run
            each.id = f"d{self.count:04}{place}"
        [added] = self.run(self.store.add([made]))
        known = [i for i, n in self.notes.items() if n["user"] == user and key and n["key"] == key]
        assert added.created == (not known)
        if known:
            assert added.record.id == known[0]
            return
        self.notes[made.record.id] = {
            "user": user, "key": key, "shown": shown, "read": False, "archived": False,
        }  # fmt: skip
        if mail:
            self.outbox[made.deliveries[-1].id] = {
                "note": made.record.id,
                "state": "pending",
                "due": self.now,
            }
        if shown:
            self.happened(user, "created")

    @precondition(lambda self: self.notes)
    @rule(
        data=st.data(),
        user=USERS,
        kind=st.sampled_from(["read", "archived", "deleted"]),
        cancel=st.booleans(),
    )
    def mark(self, data, user, kind, cancel) -> None:
        chosen = data.draw(st.sampled_from(sorted(self.notes)))
        note = self.notes[chosen]
        done = self.run(self.store.mark(user, chosen, kind, self.now, cancel=cancel))
        if note["user"] != user:
            assert done is None
            return
        if cancel:
            for each in self.outbox.values():
                if each["note"] == chosen and each["state"] == "pending":
                    each["state"] = "cancelled"
        if kind == "deleted":
            del self.notes[chosen]
            self.outbox = {i: d for i, d in self.outbox.items() if d["note"] != chosen}
        elif note[kind]:
            assert done is False
            return
        else:
            note[kind] = True
        assert done is True
        if note["shown"]:
            self.happened(user, kind)

    @rule(user=USERS)
    def mark_all(self, user) -> None:
        mine = [
            n for n in self.notes.values()
            if n["user"] == user and n["shown"] and not n["read"] and not n["archived"]
        ]  # fmt: skip
        assert self.run(self.store.mark_all(user, None, None, self.now, Cancels())) == len(mine)
        for each in mine:
            each["read"] = True
        if mine:
            self.happened(user, "all_read")

    @rule(slots=st.integers(1, 3))
    def claim(self, slots) -> None:
        found = self.run(self.store.claim({"email": slots}, self.now, self.now + 50))
        due = [
            i for i, d in self.outbox.items()
            if d["state"] in {"pending", "sending"} and d["due"] <= self.now
        ]  # fmt: skip
        assert len(found) == min(slots, len(due))
        for each in found:
            assert each.delivery.id in due
            self.outbox[each.delivery.id] |= {"state": "sending", "due": self.now + 50}
            self.outbox[each.delivery.id]["fence"] = each.delivery.fence
            self.held.append(each)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), ok=st.booleans())
    def finish(self, data, ok) -> None:
        chosen = data.draw(st.sampled_from(range(len(self.held))))
        held = self.held.pop(chosen).delivery
        status = DeliveryStatus.DELIVERED if ok else DeliveryStatus.PENDING
        verdict = Verdict(held.id, held.fence, status, "[]", 1, due_at=self.now + 7)
        ours = self.outbox.get(held.id)
        valid = ours is not None and ours["state"] == "sending" and ours["fence"] == held.fence
        assert bool(self.run(self.store.finish([verdict], self.now))) == valid
        if valid:
            ours |= {"state": str(status), "due": self.now + 7}

    @rule(seconds=st.integers(1, 60))
    def later(self, seconds) -> None:
        self.now += seconds

    @rule(user=USERS)
    def erase(self, user) -> None:
        mine = [i for i, n in self.notes.items() if n["user"] == user]
        assert self.run(self.store.erase(user)) == len(mine)
        for each in mine:
            del self.notes[each]
        self.outbox = {i: d for i, d in self.outbox.items() if d["note"] in self.notes}
        self.events[user] = []

    @invariant()
    def nothing_drifts(self) -> None:
        for user, expected in self.events.items():
            found = self.run(self.store.events(user, 0, 1000))
            assert [(e.kind, e.unread) for e in found] == expected
            assert [e.seq for e in found] == list(range(1, len(expected) + 1))
            assert self.run(self.store.last_seq(user)) == len(expected)
            assert self.run(self.store.unread(user)) == self.unread(user)
            page = self.run(
                self.store.list_inbox(user, NotificationFilters(archived=None), 500, None)
            )
            shown = {i for i, n in self.notes.items() if n["user"] == user and n["shown"]}
            assert {each.id for each in page} == shown


class SQLMachine(StoreMachine):
    def make(self):
        from notify.adapters.sql import SQLStore

        self.folder = TemporaryDirectory()
        return SQLStore(f"sqlite:///{Path(self.folder.name)}/n.db", synchronous="OFF")

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


class TestMemory(StoreMachine.TestCase):
    settings = settings(max_examples=40, stateful_step_count=40)


class TestSQL(SQLMachine.TestCase):
    settings = settings(max_examples=12, stateful_step_count=30)

    def runTest(self) -> None:
        pytest.importorskip("sqlalchemy")
        super().runTest()
