"""``p.iter``: loops whose items are counted as they are done."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Counted(Protocol):
    """What a loop needs of a handle; plain attributes, because a call costs more than a tick."""

    count: int | float
    is_live: bool

    def check(self) -> None:
        """Raise what the worker must know."""


class Counting(Generic[T]):
    """A loop whose items are counted; for ``for``, and for ``async for`` over a plain iterable."""

    __slots__ = ("_handle", "_items")

    def __init__(self, handle: "Counted", items: Iterable[T]) -> None:
        """Count ``items`` for ``handle``."""
        self._handle, self._items = handle, items

    def __iter__(self) -> Iterator[T]:
        handle = self._handle
        handle.check()
        for item in self._items:
            yield item
            handle.count += 1
            if not handle.is_live:
                handle.check()

    async def __aiter__(self) -> AsyncIterator[T]:
        handle = self._handle
        handle.check()
        for item in self._items:
            yield item
            handle.count += 1
            if not handle.is_live:
                handle.check()


class AsyncCounting(Generic[T]):
    """An asynchronous loop whose items are counted."""

    __slots__ = ("_handle", "_items")

    def __init__(self, handle: "Counted", items: AsyncIterable[T]) -> None:
        """Count ``items`` for ``handle``."""
        self._handle, self._items = handle, items

    async def __aiter__(self) -> AsyncIterator[T]:
        handle = self._handle
        handle.check()
        async for item in self._items:
            yield item
            handle.count += 1
            if not handle.is_live:
                handle.check()
