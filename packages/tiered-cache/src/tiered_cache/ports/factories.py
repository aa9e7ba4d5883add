"""What computes a value that is not there."""

from collections.abc import Awaitable, Callable
from typing import Any

Factory = Callable[..., Awaitable[Any] | Any]
