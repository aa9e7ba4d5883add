"""Settings from mappings, YAML files and the environment, checked by msgspec."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import msgspec

from ..errors import ConfigurationError
from .config_keys import instead_of
from .extras import require

_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})")
_MAX_FILE = 1 << 20


class BaseSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a package: one immutable struct per section of its YAML.

    Subclasses set the class variables; sections are structs of their own.
    """

    DIST: ClassVar[str] = ""
    SECTION: ClassVar[str] = ""
    PREFIX: ClassVar[str] = ""
    URL_AT: ClassVar[tuple[str, str]] = ("storage", "url")

    @classmethod
    def from_mapping(
        cls, mapping: Mapping[str, Any], *, environ: Mapping[str, str] | None = None
    ) -> Self:
        """Check ``mapping`` and fill ``${VAR}`` and ``${VAR:-default}`` in its strings.

        Args:
            mapping: Nested mappings, as the package's section of a YAML file.
            environ: Where variables are looked up; ``os.environ`` if None.

        Raises:
            ConfigurationError: A key is unknown, a value has the wrong type or is out of range
                (the message names its path, ``$.l1.max_size``), or a variable is not set.
        """
        filled = expand(mapping, os.environ if environ is None else environ)
        try:
            return msgspec.convert(filled, cls, strict=False)
        except (msgspec.ValidationError, ConfigurationError) as exc:
            told = f"{cls.SECTION or cls.DIST} settings: {exc}{instead_of(str(exc), cls)}"
            raise ConfigurationError(told) from exc

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Return the settings that differ from the defaults only by their main URL.

        Raises:
            ConfigurationError: ``url`` is no text.
        """
        if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"from_url() takes a URL, not {type(url).__name__}")
        section, key = cls.URL_AT
        return cls.from_mapping({section: {key: url.replace("$", "$$")}})

    @classmethod
    def from_yaml(
        cls,
        path: str | os.PathLike[str],
        *,
        section: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Self:
        """Read the package's section of a YAML file (needs the extra ``yaml``).

        Args:
            path: The file, UTF-8, at most 1 MiB.
            section: The top-level key; the package's own if None, the whole file if empty.
            environ: Where variables are looked up; ``os.environ`` if None.

        Raises:
            ConfigurationError: The file cannot be read, is not YAML, has no such section, or as
                for :meth:`from_mapping`.
        """
        name = cls.SECTION if section is None else section
        content = _read_yaml(Path(path), cls.DIST)
        chosen = content.get(name) if name and isinstance(content, Mapping) else content
        if not isinstance(chosen, Mapping):
            raise ConfigurationError(f"{str(path)!r} has no section {name!r}")
        return cls.from_mapping(chosen, environ=environ)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read ``PREFIX__SECTION__KEY=value`` variables, for example ``TIERED_CACHE__L1__TTL=60``.

        Where none of them names the main URL, ``PREFIX_URL`` does.

        Raises:
            ConfigurationError: As for :meth:`from_mapping`.
        """
        source = os.environ if environ is None else environ
        start, tree = f"{cls.PREFIX}__", dict[str, Any]()
        for variable in sorted(source):
            if variable.startswith(start):
                _plant(tree, variable, variable.removeprefix(start).lower().split("__"), source)
        section, key = cls.URL_AT
        variable, chosen = f"{cls.PREFIX}_URL", tree.get(section, {})
        if source.get(variable) and isinstance(chosen, dict) and key not in chosen:
            _plant(tree, variable, [section, key], source)
        return cls.from_mapping(tree, environ=source)

    @classmethod
    def discover(cls, environ: Mapping[str, str] | None = None) -> Self | None:
        """Return what ``PREFIX_CONFIG`` (a YAML file) or ``PREFIX_URL`` name, else None.

        Raises:
            ConfigurationError: Both are set, neither is but ``PREFIX_STRICT=1``, or the file is
                wrong.
        """
        source = os.environ if environ is None else environ
        url, path = source.get(f"{cls.PREFIX}_URL"), source.get(f"{cls.PREFIX}_CONFIG")
        if url and path:
            raise ConfigurationError(f"set {cls.PREFIX}_URL or {cls.PREFIX}_CONFIG, not both")
        if path:
            return cls.from_yaml(path, environ=source)
        if not url and source.get(f"{cls.PREFIX}_STRICT", "") not in {"", "0"}:
            raise ConfigurationError(
                f"{cls.DIST} is not configured and {cls.PREFIX}_STRICT is set: call configure(), "
                f"or set {cls.PREFIX}_URL or {cls.PREFIX}_CONFIG"
            )
        return cls.from_url(url) if url else None


def expand(value: Any, environ: Mapping[str, str]) -> Any:
    """Return ``value`` with the variables in its strings replaced; ``$$`` is a dollar sign."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: _variable(found, environ), value)
    if isinstance(value, Mapping):
        return {str(key): expand(item, environ) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [expand(item, environ) for item in value]
    return value


def _variable(found: re.Match[str], environ: Mapping[str, str]) -> str:
    name, default = found[1], found[2]
    if name is None:
        return "$"
    value = environ.get(name)
    if value or (value is not None and default is None):
        return value
    if default is None:
        raise ConfigurationError(f"the variable {name!r} is not set; write ${{{name}:-default}}")
    return str(default)


def _read_yaml(path: Path, dist: str) -> Any:
    yaml = require("yaml", dist=dist, extra="yaml")
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE + 1)
    except OSError as exc:
        raise ConfigurationError(f"cannot read settings {str(path)!r}: {exc.strerror}") from exc
    if len(text) > _MAX_FILE:
        raise ConfigurationError(f"settings {str(path)!r} are over {_MAX_FILE} bytes")
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        # the parser's own text quotes the file, which may hold secrets
        mark = getattr(exc, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise ConfigurationError(f"settings {str(path)!r} are not YAML{where}") from None


def _plant(tree: dict[str, Any], variable: str, path: list[str], source: Mapping[str, str]) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise ConfigurationError(f"{variable} needs a section where a value is already set")
    if isinstance(tree.get(path[-1]), dict):
        raise ConfigurationError(f"{variable} is a value where a section is already set")
    tree[path[-1]] = _literal(variable, source[variable])


def _literal(variable: str, text: str) -> Any:
    """Return lists and mappings written as JSON, else the text with its dollar signs kept."""
    if text[:1] not in {"[", "{"}:
        return text.replace("$", "$$")
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as exc:
        raise ConfigurationError(f"{variable} begins like JSON but is not: {exc}") from exc
