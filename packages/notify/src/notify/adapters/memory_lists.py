"""What the memory store keeps beside notifications: wishes, suppressions, topics, quotas."""

from collections.abc import Sequence

from ..ports import NotificationStore
from .memory_state import State


class MemoryLists(NotificationStore):
    """The part of the store that is about users' wishes, addresses, topics and limits."""

    def __init__(self) -> None:
        """Start empty."""
        self._state = State()

    async def get_preferences(self, user_id: str) -> bytes | None:
        with self._state.lock:
            return self._state.preferences.get(user_id)

    async def set_preferences(self, user_id: str, data: bytes, at: float) -> None:
        with self._state.lock:
            self._state.preferences[user_id] = data

    async def swap_preferences(
        self, user_id: str, data: bytes, was: bytes | None, at: float
    ) -> bool:
        with self._state.lock:
            if self._state.preferences.get(user_id) != was:
                return False
            self._state.preferences[user_id] = data
            return True

    async def suppress(self, channel: str, digest: str, reason: str | None, at: float) -> bool:
        with self._state.lock:
            listed, key = self._state.suppressions, (channel, digest)
            if (reason is not None) is (key in listed):
                return False
            if reason is None:
                del listed[key]
            else:
                listed[key] = reason
            return True

    async def suppressed(self, channel: str, digest: str) -> str | None:
        with self._state.lock:
            return self._state.suppressions.get((channel, digest))

    async def set_member(self, topic: str, user_id: str, at: float, *, member: bool) -> bool:
        with self._state.lock:
            members = self._state.topics.setdefault(topic, set())
            if member is (user_id in members):
                return False
            (members.add if member else members.discard)(user_id)
            return True

    async def members(self, topic: str, after: str, limit: int) -> Sequence[str]:
        with self._state.lock:
            found = self._state.topics.get(topic, set())
            return sorted(each for each in found if each > after)[:limit]

    async def topics(self, user_id: str) -> Sequence[str]:
        with self._state.lock:
            return sorted(name for name, who in self._state.topics.items() if user_id in who)

    async def take(self, user_id: str, name: str, limit: int, window: float, now: float) -> float:
        with self._state.lock:
            mine = self._state.quotas.setdefault(user_id, {})
            started, used = mine.get(name, (now, 0))
            if not now - window < started <= now:
                started, used = now, 0
            if used >= limit:
                return started + window - now
            mine[name] = started, used + 1
            return 0.0
