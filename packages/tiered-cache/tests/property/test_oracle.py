"""Two processes, random changes: nothing older than a confirmed invalidation is ever returned."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tiered_cache import CacheContext, CacheProvider, Settings
from tiered_cache.testing import FakeClock, FlakyRemote, MemoryBackplane, settle

KEYS = ("a", "b")
TAGS = {"a": ["t"], "b": ["t", "u"]}
SUSPECT = 2.0
nodes = st.integers(0, 1)
names = st.sampled_from(KEYS)


@dataclass
class Node:
    """A process: its cache, and the oldest value of each key that it may still return."""

    cache: CacheProvider
    plane: MemoryBackplane
    remote: FlakyRemote
    floor: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KEYS, 0))
    unconfirmed: dict[str, int] = field(default_factory=dict)
    unheard: list[tuple[float, dict[str, int]]] = field(default_factory=list)
    cut: bool = False

    def raise_floor(self, news: dict[str, int]) -> None:
        for key, number in news.items():
            self.floor[key] = max(self.floor[key], number)


class Oracle(RuleBasedStateMachine):
    """``world[key]`` counts the changes of what a factory would read."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.world = dict.fromkeys(KEYS, 0)
        self.held: list[tuple[asyncio.Task[Any], asyncio.Event, int]] = []
        self.nodes: list[Node] = []
        self.run(self.begin())

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    async def begin(self) -> None:
        hub: list[MemoryBackplane] = []
        first = FlakyRemote(clock=self.clock)
        for _ in range(2):
            plane = MemoryBackplane(hub, clock=self.clock)
            remote = FlakyRemote(clock=self.clock, shelf=first.shelf)
            cache = CacheProvider(Settings(), remote=remote, backplane=plane, clock=self.clock)
            self.nodes.append(Node(cache, plane, remote))
            await cache.get("warm-up")
        await settle()

    # -- what is known of changes ------------------------------------------------------------

    async def changed(self, node: Node, keys: list[str]) -> None:
        """Say that ``node`` was told of the present values; see who must know by now."""
        news = {key: self.world[key] for key in keys}
        node.raise_floor(news)
        node.unconfirmed |= news
        await settle()
        self.spread()

    def spread(self) -> None:
        for node in self.nodes:
            shared = node.cache._parts.shared
            assert shared is not None
            if node.unconfirmed and not shared.has_pending:
                news, node.unconfirmed = node.unconfirmed, {}
                for other in self.nodes:
                    if other.cut:
                        other.unheard.append((self.clock.monotonic() + SUSPECT, news))
                    else:
                        other.raise_floor(news)
            now = self.clock.monotonic()
            for due, late in list(node.unheard):
                if now >= due:
                    node.raise_floor(late)
                    node.unheard.remove((due, late))

    def check(self, key: str, value: Any, floor: int) -> None:
        if value is not None:
            assert value[0] == key
            assert value[1] >= floor, f"{value!r} is older than {floor}"

    # -- rules -------------------------------------------------------------------------------

    @rule(n=nodes, key=names)
    def get(self, n: int, key: str) -> None:
        node = self.nodes[n]
        self.spread()
        floor = node.floor[key]
        self.check(key, self.run(node.cache.get(key)), floor)

    @rule(n=nodes, key=names, late_tags=st.booleans(), fails=st.booleans())
    def get_or_set(self, n: int, key: str, late_tags: bool, fails: bool) -> None:
        self.spread()
        work = self.ask(self.nodes[n], key, None, late_tags=late_tags, fails=fails)
        task = self.loop.create_task(work)
        self.run(settle())
        if task.done():
            task.result()
        else:  # it waits for a factory that is held
            self.held.append((task, asyncio.Event(), 0))

    @rule(n=nodes, key=names, late_tags=st.booleans(), fails=st.booleans())
    def hold(self, n: int, key: str, late_tags: bool, fails: bool) -> None:
        self.spread()
        gate = asyncio.Event()
        work = self.ask(self.nodes[n], key, gate, late_tags=late_tags, fails=fails)
        self.held.append((self.loop.create_task(work), gate, 1))
        self.run(settle())

    async def ask(
        self, node: Node, key: str, gate: asyncio.Event | None, *, late_tags: bool, fails: bool
    ) -> None:
        floor = node.floor[key]

        async def factory(context: CacheContext) -> tuple[str, int]:
            number = self.world[key]
            if gate is not None:
                await gate.wait()
            if fails:
                raise LookupError(key)
            if late_tags:
                context.tags.extend(TAGS[key])
            return key, number

        tags = None if late_tags else TAGS[key]
        try:
            self.check(key, await node.cache.get_or_set(key, factory, ttl=5, tags=tags), floor)
        except LookupError:
            return

    @precondition(lambda self: any(kind for _, _, kind in self.held))
    @rule(choice=st.integers(0, 9))
    def release(self, choice: int) -> None:
        gated = [gate for _, gate, kind in self.held if kind and not gate.is_set()]
        if gated:
            gated[choice % len(gated)].set()
        self.run(settle())

    @rule(n=nodes, key=names)
    def set(self, n: int, key: str) -> None:
        self.world[key] += 1
        node = self.nodes[n]
        self.run(node.cache.set(key, (key, self.world[key]), ttl=5, tags=TAGS[key]))
        self.run(self.changed(node, [key]))

    @rule(n=nodes, key=names)
    def delete(self, n: int, key: str) -> None:
        self.world[key] += 1
        self.run(self.nodes[n].cache.delete(key))
        self.run(self.changed(self.nodes[n], [key]))

    @rule(n=nodes, tag=st.sampled_from("tu"), soft=st.booleans())
    def invalidate(self, n: int, tag: str, soft: bool) -> None:
        keys = [key for key in KEYS if tag in TAGS[key]]
        for key in keys:
            self.world[key] += 1
        self.run(self.nodes[n].cache.invalidate([tag], soft=soft))
        # what was invalidated softly may still stand in for a factory that fails
        self.run(self.changed(self.nodes[n], [] if soft else keys))

    @rule(n=nodes)
    def clear(self, n: int) -> None:
        for key in KEYS:
            self.world[key] += 1
        self.run(self.nodes[n].cache.clear())
        self.run(self.changed(self.nodes[n], list(KEYS)))

    @rule(n=nodes)
    def cut_or_heal(self, n: int) -> None:
        node = self.nodes[n]
        node.cut = not node.cut
        if node.cut:
            node.plane.cut()
            return
        node.plane.heal()
        for _, news in node.unheard:
            node.raise_floor(news)
        node.unheard.clear()

    @rule(n=nodes)
    def shared_level_fails_or_recovers(self, n: int) -> None:
        self.nodes[n].remote.down = not self.nodes[n].remote.down

    @rule(seconds=st.sampled_from([0.5, 1.3, 2.0, 3.0]))
    def pass_time(self, seconds: float) -> None:
        self.run(self.clock.advance(seconds))

    @invariant()
    def finished_calls_were_right(self) -> None:
        for each in [each for each in self.held if each[0].done()]:
            self.held.remove(each)
            each[0].result()

    def teardown(self) -> None:
        for _, gate, _ in self.held:
            gate.set()
        for node in self.nodes:
            node.remote.down = False
        for task, _, _ in self.held:
            for _ in range(1000):  # who waits for another process waits by the clock
                if not task.done():
                    self.run(self.clock.advance(0.2))
            self.run(task)
        for node in self.nodes:
            self.run(node.cache.aclose())
        self.loop.close()


Oracle.TestCase.settings = settings(
    max_examples=80, stateful_step_count=40, suppress_health_check=list(HealthCheck)
)
TestOracle = Oracle.TestCase
