"""Making up for an outage: changes that waited are made in their order before L2 is read again."""

import asyncio
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from .._common.clock import Clock
from .._common.home import Home
from ..ports import Message, TagVersion
from .leases import Leases
from .pending import Change, Pending

_DOUBT = 1.0
"""Seconds before a failed set in which a change of its key counts as a later one, for safety."""


class Replaying(Leases):
    """What ``SharedLevel`` does with changes that the shared level did not take."""

    def __init__(self, *, home: Home, clock: Clock, lease: float) -> None:
        """Let nothing wait yet; see :class:`Leases`."""
        super().__init__(home=home, clock=clock, lease=lease)
        self._pending = Pending()
        self._stuck: Change | None = None
        self._replaying: asyncio.Lock | None = None
        self.replayed = 0
        self.on_replayed: Callable[[Mapping[str, TagVersion], AbstractSet[str]], None]
        self.on_replayed = lambda _, __: None

    def detach_replay(self) -> None:
        """Forget what is bound to another event loop."""
        self._replaying = None

    async def _replay(self) -> None:
        """Make the changes that wait, in order.

        A value is stored only if nobody changed its key since it was set; else the key is deleted.
        """
        if self._replaying is None:
            self._replaying = asyncio.Lock()
        async with self._replaying:
            for run in self._pending.runs():
                try:
                    made = await self._make(run)
                except BaseException:
                    self._hindered(run)
                    raise
                self._pending.done(run)
                self.replayed += len(run)
                if made:
                    self.on_replayed(made, self._pending.tags)

    def _hindered(self, run: list[Change]) -> None:
        """Note that these could not be made; values at which it fails twice are deleted instead.

        A value that is too large for the way there would keep L2 away for ever.
        """
        if run[0] is not self._stuck:
            self._stuck = run[0]
        elif run[0].kind == "set":
            self._pending.delete([change.name for change in run], run[0].at)

    async def _make(self, run: list[Change]) -> Mapping[str, TagVersion]:
        kind, names, now = run[0].kind, [change.name for change in run], self._clock.monotonic()
        made: Mapping[str, TagVersion] = {}
        if kind == "set":
            writes = [
                replace(each.write, age=now - each.at + _DOUBT, ttl=each.write.ttl - now + each.at)
                for each in run
                if each.write is not None
            ]
            await self.remote.write([write for write in writes if write.ttl > 0])
            if late := [write.key for write in writes if write.ttl <= 0]:
                await self.remote.delete(late)
        elif kind == "delete":
            await self.remote.delete(names)
        else:
            made = await self.remote.bump(names, soft=kind == "soft")
        if self.backplane is not None and not self.remote.capabilities.announces:
            await self.backplane.publish(Message((), made) if made else Message(names))
        return made
