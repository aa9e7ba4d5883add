"""Letting go of connections whose event loop may be closed, or belong to the parent of a fork."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable
from typing import Any
from weakref import WeakKeyDictionary

_makers: "WeakKeyDictionary[Any, int]" = WeakKeyDictionary()
_left: list[Any] = []


def own(connection: Any) -> None:
    """Note that this process has opened a driver's ``connection``."""
    _makers[connection] = os.getpid()


async def opened(connecting: Awaitable[Any]) -> Any:
    """Return the connection that a driver opens; raise a cancellation that the driver has lost.

    Drivers connect by ``asyncio.wait_for``, which before Python 3.12 returns as if nothing were
    when it is cancelled as the connection stands: whoever asked once, as ``asyncio.run`` does at
    its end, would wait for ever for a task that goes on.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    connection = await connecting
    if task is not None and task.cancelling() > before:
        abandon(connection)
        raise asyncio.CancelledError
    return connection


def abandon(connection: Any) -> bool:
    """Close a driver's connection at once, without a word to the other side.

    Args:
        connection: What has a ``_transport`` or a ``_writer`` of asyncio's, as those of asyncpg,
            asyncmy and redis-py do; they have no public names for it.

    Returns:
        Whether it is closed. One that :func:`own` noted before a fork is not: to close it in the
        child would take it out of the selector that both processes share. It is kept, so that
        nothing collects it.
    """
    if _makers.get(connection, os.getpid()) != os.getpid():
        _left.append(connection)
        return False
    transport = _transport_of(connection)
    if transport is None:
        return True
    try:
        transport.abort()
    except RuntimeError:  # its loop is closed: nobody else closes the socket
        with contextlib.suppress(AttributeError):
            transport._sock.close()  # noqa: SLF001  there is no public way any more
            transport._sock = None  # noqa: SLF001
    return True


def is_gone(connection: Any) -> bool:
    """Whether asyncio has seen already that the other side hung up."""
    transport = _transport_of(connection)
    return transport is not None and bool(transport.is_closing())


def _transport_of(connection: Any) -> Any:
    transport = getattr(connection, "_transport", None)
    if transport is None:
        transport = getattr(getattr(connection, "_writer", None), "transport", None)
    return transport
