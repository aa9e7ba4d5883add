"""Adapters by name: a table of ``name -> "module:Class"`` and the entry points of others."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..errors import ConfigurationError

T = TypeVar("T")


class Plugins:
    """The adapters of one port; nothing is imported until it is chosen.

    A package's own table wins over an entry point of the same name, so that installing another
    distribution can add adapters but never replace one.
    """

    def __init__(self, kind: str, group: str, table: Mapping[str, str]) -> None:
        """Name the port (``kind``, for messages), its entry-point group and the own adapters."""
        self._kind, self._group, self._table = kind, group, table

    def names(self) -> list[str]:
        """Return every name that can be loaded, sorted."""
        return sorted({*self._table, *(point.name for point in self._others())})

    def load(self, name: str) -> Any:
        """Return the class (or other object) registered under ``name``.

        Raises:
            ConfigurationError: Nobody registered ``name``.
        """
        if target := self._table.get(name):
            module, _, attribute = target.partition(":")
            return getattr(importlib.import_module(module), attribute)
        for point in self._others():
            if point.name == name:
                return point.load()
        known = ", ".join(self.names())
        raise ConfigurationError(f"unknown {self._kind} {name!r}; known: {known}")

    def call(self, name: str, build: Callable[..., T], *given: Any, **named: Any) -> T:
        """Return ``build(*given, **named)``, where ``build`` belongs to what ``name`` loaded.

        Raises:
            ConfigurationError: It is another distribution's and takes other arguments.
        """
        if name not in self._table:
            self._check(name, build, given, named)
        return build(*given, **named)

    def _check(
        self, name: str, build: Callable[..., T], given: tuple[Any, ...], named: dict[str, Any]
    ) -> None:
        from inspect import signature

        try:
            signature(build).bind(*given, **named)
        except TypeError as exc:
            asked = ", ".join([*("…" for _ in given), *(f"{each}=…" for each in named)])
            text = f"{self._kind} {name!r} is installed, but {build.__qualname__}({asked}) fails"
            raise ConfigurationError(
                f"{text}: {exc}. That is how adapters of other distributions are made: see "
                "'Write your own adapter' in the documentation"
            ) from exc

    def _others(self) -> Any:
        # imported here: it costs more than the rest of the package's start together
        from importlib.metadata import entry_points

        return entry_points(group=self._group)
