"""The formats of one service: the built-in ones, and those that users register."""

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .errors import ConfigurationError, UnknownFormat
from .ports import ExportFormatDefinition, Renderer
from .registry import FORMATS
from .settings import FormatsSettings

_NAME = re.compile(r"[a-z0-9][a-z0-9_.+-]{0,31}")
_EXTENSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,15}")
OneShot = Callable[[dict[str, Any]], str | bytes | Awaitable[str | bytes]]


@dataclass(frozen=True, slots=True)
class Format:
    """A format as the engine uses it: a renderer, or a function of the whole data."""

    name: str
    content_type: str
    extension: str
    renderer: type[Renderer] | None = None
    export: OneShot | None = None


class Formats:
    """Finds formats by name; registered ones win over those that are built in."""

    def __init__(self) -> None:
        """Know the built-in ones and the entry points."""
        self._own: dict[str, Format] = {}
        self._loaded: dict[str, Format] = {}

    def register(self, definition: Any) -> None:
        """Add a :class:`Renderer` class, an :class:`ExportFormatDefinition`, or an exporter.

        An exporter is a class (made without arguments) or object with ``format``, ``content_type``
        and ``export(data)``.

        Raises:
            ConfigurationError: It is none of these, or its name cannot be one.
        """
        made = _format_of(definition)
        self._own[made.name] = made

    def names(self, settings: FormatsSettings) -> list[str]:
        """Return the formats that may be used, sorted."""
        known = {*FORMATS.names(), *self._own}
        return sorted(name for name in known if settings.of(name).enabled)

    def find(self, name: str, settings: FormatsSettings) -> Format:
        """Return the format ``name``.

        Raises:
            UnknownFormat: There is none, or the settings disable it.
        """
        if not isinstance(name, str):
            raise UnknownFormat(f"a format is named by text, not by {type(name).__name__}")
        name = str(name)
        if not settings.of(name).enabled:
            raise UnknownFormat(
                f"format {name!r} is disabled by the settings (formats.{name}.enabled)"
            )
        if name in self._own:
            return self._own[name]
        if name not in self._loaded:
            try:
                found = FORMATS.load(name)
            except ConfigurationError:
                raise _unknown(name, self.names(settings)) from None
            self._loaded[name] = _format_of(found)
        return self._loaded[name]


def _unknown(name: str, known: list[str]) -> UnknownFormat:
    import difflib

    near = difflib.get_close_matches(name[:80].lower(), known, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UnknownFormat(f"unknown format {name[:80]!r}; {hint}known: {', '.join(known)}")


def _format_of(given: Any) -> Format:
    if isinstance(given, ExportFormatDefinition):
        if given.export is None:
            raise ConfigurationError(f"format {given.format!r} has no 'export' function")
        return _checked(given.format, given.content_type, given.extension, export=given.export)
    if isinstance(given, type) and issubclass(given, Renderer):
        if inspect.isabstract(given):
            missing = ", ".join(sorted(given.__abstractmethods__))
            raise ConfigurationError(f"{given.__name__} does not define {missing}")
        own = (getattr(given, "format", ""), getattr(given, "content_type", ""), given.extension)
        return _checked(*own, renderer=given)
    exporter = given() if isinstance(given, type) else given
    name, kind = getattr(exporter, "format", None), getattr(exporter, "content_type", None)
    export = getattr(exporter, "export", None)
    if not isinstance(name, str) or not isinstance(kind, str) or not callable(export):
        raise ConfigurationError(
            "a format is a Renderer class, an ExportFormatDefinition, or a class with 'format', "
            f"'content_type' and 'export'; not {given!r}"
        )
    return _checked(name, kind, getattr(exporter, "extension", ""), export=export)


def _checked(name: str, kind: str, extension: str, **work: Any) -> Format:
    ending = extension or name
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"not a name of a format: {name!r}; lower case, digits, _ . + -")
    if not _EXTENSION.fullmatch(ending):
        raise ConfigurationError(f"not a file extension: {ending!r}")
    if not re.fullmatch(r"[\w.+-]+/[\w.+-]+(?:; *[\w-]+=[\w-]+)*", kind, re.ASCII):
        raise ConfigurationError(f"not a media type: {kind!r}")
    return Format(name, kind, ending, **work)
