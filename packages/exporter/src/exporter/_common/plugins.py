"""Adapters by name: a table of ``name -> "module:Class"`` and the entry points of others."""

import importlib
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigurationError


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

    def _others(self) -> Any:
        # imported here: it costs more than the rest of the package's start together
        from importlib.metadata import entry_points

        return entry_points(group=self._group)
