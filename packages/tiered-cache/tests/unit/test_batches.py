"""Reads and writes that begin together share calls of the shared level."""

import asyncio
from collections.abc import Sequence

from tiered_cache.ports import Read, Write
from tiered_cache.resilience.batches import Batches


class Level:
    """Answers when it is told to, and knows what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.answers: list[asyncio.Future[None]] = []
        self.batches = Batches(self._read, self._write)

    async def _read(self, keys: Sequence[str], tags: Sequence[str], fences: bool) -> Read:
        self.asked.append([*keys, *tags, *(["fences"] if fences else [])])
        self.answers.append(asyncio.get_running_loop().create_future())
        await self.answers[-1]
        return Read({key: key.encode() for key in keys}, {}, {})

    async def _write(self, items: Sequence[Write]) -> Sequence[bool]:
        self.asked.append([item.key for item in items])
        return [True for _ in items]

    def answer_all(self) -> None:
        for answer in self.answers:
            if not answer.done():
                answer.set_result(None)

    async def look(self, key: str) -> bytes | None:
        found = await self.batches.look(key)
        return None if found is None else found.values.get(key)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_the_first_goes_alone_and_the_rest_of_its_turn_together() -> None:
    level = Level()
    tasks = [asyncio.create_task(level.look(name)) for name in "abc"]
    await turns()
    assert level.asked == [["a"], ["b", "c"]]
    for answer in level.answers:
        answer.set_result(None)
    assert await asyncio.gather(*tasks) == [b"a", b"b", b"c"]


async def test_nobody_goes_alone_while_others_are_on_their_way() -> None:
    level = Level()
    first = asyncio.create_task(level.look("a"))
    await turns()
    later = [asyncio.create_task(level.look(name)) for name in "bc"]
    reading = asyncio.create_task(level.batches.read(["d"], ["t"], True))
    await turns()
    assert level.asked == [["a"], ["b", "c", "d", "t", "fences"]]
    for answer in level.answers:
        answer.set_result(None)
    assert await asyncio.gather(first, *later) == [b"a", b"b", b"c"]
    assert (await reading) is not None
    # all have landed: who asks now does not wait for a turn
    again = asyncio.create_task(level.look("e"))
    await asyncio.sleep(0)
    assert level.asked[-1] == ["e"]
    level.answers[-1].set_result(None)
    assert await again == b"e"


async def test_a_call_that_is_cancelled_leaves_nobody_waiting() -> None:
    level = Level()
    alone = asyncio.create_task(level.look("a"))
    await turns()
    alone.cancel()
    await asyncio.gather(alone, return_exceptions=True)
    task = asyncio.create_task(level.look("b"))
    await asyncio.sleep(0)
    assert level.asked == [["a"], ["b"]]  # nothing is on its way: it went at once
    level.answers[-1].set_result(None)
    assert await task == b"b"


async def test_tasks_that_ask_on_and_on_share_every_call_but_the_first() -> None:
    level = Level()

    async def ask(name: str) -> None:
        for n in range(6):
            assert await level.look(f"{name}{n}") == f"{name}{n}".encode()

    tasks = [asyncio.create_task(ask(f"{name:02}-")) for name in range(20)]
    while not all(task.done() for task in tasks):
        await turns()
        level.answer_all()
    await asyncio.gather(*tasks)
    assert [len(keys) for keys in level.asked] == [1, 19, 20, 20, 20, 20, 20]


async def test_few_wait_for_many_that_come_back() -> None:
    level = Level()
    first = asyncio.create_task(level.look("first"))
    many = [asyncio.create_task(level.look(f"m{n}")) for n in range(8)]
    await turns()
    late = asyncio.create_task(level.look("late"))
    await turns()
    assert [len(keys) for keys in level.asked] == [1, 8]
    level.answer_all()
    await asyncio.gather(first, *many)
    await turns()
    assert level.asked[2:] == [["late"]]  # with them, had they asked again
    level.answer_all()
    assert await late == b"late"


async def test_few_do_not_wait_for_many_that_are_slow() -> None:
    level = Level()
    tasks = [asyncio.create_task(level.look(f"m{n}")) for n in range(9)]
    await turns()
    tasks.append(asyncio.create_task(level.look("late")))
    async with asyncio.timeout(60):
        while len(level.asked) < 3:
            await asyncio.sleep(0)
    assert level.asked[2] == ["late"]
    level.answer_all()
    await asyncio.gather(*tasks)


async def test_a_cancelled_batch_lets_the_next_ones_go() -> None:
    level = Level()
    tasks = [asyncio.create_task(level.look(f"m{n}")) for n in range(9)]
    await turns()
    level.answers[1].cancel()
    level.answers[0].set_result(None)
    found = await asyncio.gather(*tasks)
    assert found == [b"m0", *[None] * 8]
    again = asyncio.create_task(level.look("e"))
    await asyncio.sleep(0)
    assert level.asked[-1] == ["e"]
    level.answers[-1].set_result(None)
    assert await again == b"e"
