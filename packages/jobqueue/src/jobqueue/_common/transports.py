"""Letting go of connections whose event loop may be closed, or belong to the parent of a fork."""

import contextlib
import os
from typing import Any
from weakref import WeakKeyDictionary

_makers: "WeakKeyDictionary[Any, int]" = WeakKeyDictionary()
_left: list[Any] = []


def own(transport: Any) -> None:
    """Note that this process has opened ``transport``."""
    _makers[transport] = os.getpid()


def abandon(transport: Any) -> bool:
    """Close ``transport`` at once, without a word to the other side.

    Returns:
        Whether it is closed. One that :func:`own` noted before a fork is not: to close it in the
        child would take it out of the selector that both processes share. It is kept, so that
        nothing collects it.
    """
    if _makers.get(transport, os.getpid()) != os.getpid():
        _left.append(transport)
        return False
    try:
        transport.abort()
    except RuntimeError:  # its loop is closed: nobody else closes the socket
        with contextlib.suppress(AttributeError):
            transport._sock.close()  # noqa: SLF001  there is no public way any more
            transport._sock = None  # noqa: SLF001
    return True
