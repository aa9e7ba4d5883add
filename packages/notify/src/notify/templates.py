"""Templates by channel and locale: Jinja2 in a sandbox, strict about names, with limits.

A template is up to three files in the channel's folder: ``welcome.html``, ``welcome.txt`` and
``welcome.subject``, each with or without a locale (``welcome.de.html``).
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import TemplateError
from .settings import TemplateSettings

if TYPE_CHECKING:
    from .sandbox import Sandbox

logger = logging.getLogger(__name__)
PARTS = ("html", "txt", "subject")


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a template made; parts that it does not have are None, but for the text."""

    subject: str | None
    text: str | None
    html: str | None


class Templates:
    """The templates of all channels, parsed once. Rendering does no I/O but for changed files."""

    def __init__(self, settings: TemplateSettings, folders: Mapping[str, str]) -> None:
        """Use ``settings.dir`` and the folders that channels have of their own; no I/O."""
        self._settings, self._own = settings, dict(folders)
        self._environments: dict[tuple[str, bool], Sandbox] = {}

    def _folder(self, channel: str) -> Path | None:
        if channel in self._own:
            return Path(self._own[channel])
        return None if self._settings.dir is None else Path(self._settings.dir) / channel

    def _environment(self, channel: str, *, escape: bool) -> "Sandbox":
        key = (channel, escape)
        if key not in self._environments:
            folder = self._folder(channel)
            assert folder is not None  # asked for only where there is one
            from .sandbox import Loader, Sandbox  # Jinja2 takes 100 ms to import

            loader = Loader(folder, self._settings.max_size)
            self._environments[key] = Sandbox(loader, self._settings, escape=escape)
        return self._environments[key]

    def check(self) -> None:
        """Parse every template there is; a folder that is missing is a warning until it is used.

        Raises:
            TemplateError: One does not parse or is too long; the message names it.
        """
        for name in self.missing():
            logger.warning("templates.missing", extra={"folder": name})
        for channel in self._channels():
            folder = self._folder(channel)
            for path in sorted(folder.rglob("*")) if folder is not None else ():
                if path.is_file() and path.suffix[1:] in PARTS:
                    self._load(channel, path.relative_to(folder or path).as_posix())

    def missing(self) -> list[str]:
        """Return the folders that the settings name and that are not there."""
        named = [self._settings.dir, *self._own.values()]
        return [name for name in named if name is not None and not Path(name).is_dir()]

    def names(self) -> list[tuple[str, str]]:
        """Return the channel and the name of every template there is, in any locale."""
        found: set[tuple[str, str]] = set()
        for channel in self._channels():
            folder = self._folder(channel)
            for path in folder.rglob("*") if folder is not None else ():
                if path.is_file() and path.suffix[1:] in PARTS:
                    inner = path.relative_to(folder or path)
                    found.add((channel, (inner.parent / inner.name.split(".")[0]).as_posix()))
        return sorted(found)

    def _channels(self) -> set[str]:
        if self._settings.dir is None or not Path(self._settings.dir).is_dir():
            return set(self._own)
        return {each.name for each in Path(self._settings.dir).iterdir() if each.is_dir()} | set(
            self._own
        )

    def _load(self, channel: str, file: str) -> Any:
        from jinja2 import TemplateError as JinjaError
        from jinja2 import TemplateNotFound

        escape = file.endswith(".html")
        try:
            return self._environment(channel, escape=escape).get_template(file)
        except TemplateNotFound:
            raise TemplateError(f"template {file!r} of {channel!r} is missing") from None
        except JinjaError as exc:
            line = getattr(exc, "lineno", None)
            raise TemplateError(
                f"template {file!r} of {channel!r}, line {line}: {exc.message}"
            ) from exc

    def has(self, channel: str, name: str) -> bool:
        """Whether ``channel`` has a template of that name, in any locale."""
        folder = self._folder(channel)
        if folder is None:
            return False
        base = folder / name
        return base.parent.is_dir() and any(
            each.suffix[1:] in PARTS for each in base.parent.glob(f"{base.name}.*")
        )

    def _find(self, channel: str, name: str, part: str, chain: list[str]) -> tuple[str, str] | None:
        folder = self._folder(channel)
        for locale in chain:
            file = f"{name}.{locale}.{part}" if locale else f"{name}.{part}"
            if folder is not None and (folder / file).is_file():
                return locale, file
        return None

    def render(
        self, channel: str, name: str, context: Mapping[str, Any], locale: str | None
    ) -> Rendered:
        """Return what a template makes of ``context``, in the best locale that it has.

        ``de-AT`` falls back to ``de``, then to the settings' locale, then to files without one. The
        text is made from the HTML where that locale has no text of its own.

        Raises:
            TemplateError: There is none, a variable is unknown, or a limit is passed.
        """
        chain = _chain(locale, self._settings.locale)
        html, txt = (self._find(channel, name, part, chain) for part in ("html", "txt"))
        subject = self._find(channel, name, "subject", chain)
        if html is None and txt is None and subject is None:
            gone = "".join(f"; the folder {each!r} is missing" for each in self.missing())
            raise TemplateError(f"no template {name!r} for channel {channel!r}{gone}")
        if html is not None and txt is not None and html[0] != txt[0]:
            # never two languages in one mail: the better locale wins
            html, txt = (html, None) if chain.index(html[0]) < chain.index(txt[0]) else (None, txt)
        made = {
            part: None if found is None else self._make(channel, found[1], context)
            for part, found in (("html", html), ("txt", txt), ("subject", subject))
        }
        text, markup = made["txt"], made["html"]
        if text is None and markup is not None:
            from .htmltext import text_of

            text = text_of(markup)
        line = None if made["subject"] is None else " ".join(made["subject"].split())
        return Rendered(line, text, markup)

    def _make(self, channel: str, file: str, context: Mapping[str, Any]) -> str:
        from jinja2 import TemplateError as JinjaError

        template = self._load(channel, file)
        sandbox: Sandbox = template.environment
        sandbox.deadline = time.monotonic() + self._settings.timeout
        size, parts = 0, list[str]()
        try:
            for part in template.generate(dict(context)):
                size += len(part)
                self._check_limits(file, size, sandbox.deadline)
                parts.append(part)
        except JinjaError as exc:
            raise TemplateError(f"template {file!r} of {channel!r}: {exc.message}") from exc
        except TemplateError:
            raise
        except Exception as exc:  # noqa: BLE001  filters raise what they like
            # what the template did with its values; their texts may be the users'
            raise TemplateError(f"template {file!r} of {channel!r}: {type(exc).__name__}") from None
        return "".join(parts)

    def _check_limits(self, file: str, size: int, deadline: float) -> None:
        if size > self._settings.max_size:
            raise TemplateError(
                f"template {file!r} makes over {self._settings.max_size} characters"
            )
        if time.monotonic() > deadline:
            raise TemplateError(f"template {file!r} takes too long")


def _chain(locale: str | None, default: str) -> list[str]:
    chain: list[str] = []
    for each in (locale, default):
        words = (each or "").replace("_", "-").split("-")
        chain += ["-".join(words[:length]) for length in range(len(words), 0, -1)]
    return list(dict.fromkeys([*(each for each in chain if each), ""]))
