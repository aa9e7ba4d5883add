"""Invalidating: what this process or another one changed is forgotten here."""

from collections.abc import Callable, Sequence

from ..keys import is_shortened, stored_key
from ..ports import ALL, Message
from .base import State


class Invalidating(State):
    """Forgets values of L1 and the flights that may have read what was before the change."""

    def outdate(self, tags: Sequence[str], *, soft: bool) -> None:
        """Invalidate tags in this process, at once."""
        self.forget_unused_tags()
        self.tags.outdate(tags, soft=soft)

    def drop_all(self) -> None:
        """Forget every key in this process."""
        self._forget_flights(lambda _: True)
        if self.local is not None:
            self.local.clear()

    def drop_matching(self, matches: Callable[[str], bool]) -> int:
        """Forget the keys that match; return how many L1 had."""
        self.flights.forget_pattern(matches)
        self.lookups.forget_where(matches)
        found = [key for key, _ in self.local.items() if matches(key)] if self.local else []
        self.drop(found)
        return len(found)

    def on_message(self, message: Message) -> None:
        """Apply what another process changed."""
        if ALL in message.keys:
            self.on_gap()
            return
        self.forget_unused_tags()
        self.drop(message.keys)
        for name in message.keys:
            if is_shortened(name):
                self._drop_long(name)
        if message.forget_versions:
            self.tags.forget()
        if self.shared is not None:
            for name in message.ready:
                self.shared.waiting.ready(name)
        self.tags.note_change(list(message.tags))
        self.tags.learn(message.tags)

    def _drop_long(self, name: str) -> None:
        def matches(key: str) -> bool:
            return stored_key(key) == name

        self._forget_flights(matches)
        self.drop([key for key, _ in self.local.items() if matches(key)] if self.local else ())

    def on_gap(self) -> None:
        """Doubt everything that messages may have changed: L1 starts anew."""
        self.tags.forget()
        self.drop_all()

    def forget_unused_tags(self) -> None:
        """Forget tags that no value of L1 has, once they are many; what flies is not kept."""
        if not self.tags.are_many:
            return
        changes = self.tags.changes
        self._forget_flights(lambda _: True)
        entries = self.local.items() if self.local is not None else ()
        used = {tag for _, entry in entries for tag in entry.tags}
        self.tags.forget_unused({ALL, *used}, changes)

    def _forget_flights(self, matches: Callable[[str], bool]) -> None:
        self.flights.forget_where(matches)
        self.lookups.forget_where(matches)
