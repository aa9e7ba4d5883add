"""Jinja2 templates for text formats: chosen by name, run in a sandbox, streamed."""

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from .documents import Citation, Document, Record, Row, Section, Segment
from .errors import TemplateError, UnsupportedOperationError
from .presentation import facts_of, title_of
from .settings import FormatSettings
from .texts import cue_time, millis, stamp

TEXT_FORMATS = frozenset({"txt", "html", "md", "json", "jsonl", "csv", "tsv", "srt", "vtt"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_MAX_SOURCE = 1 << 20
_MAX_PRODUCT = 1_000_000


class Template:
    """A compiled template of one format."""

    def __init__(self, format: str, name: str, settings: FormatSettings) -> None:
        """Find and compile it.

        Args:
            format: ``txt`` and the other text formats.
            name: As in ``options.template``: the file ``name``, ``name.FORMAT.j2`` or ``name.j2``.
            settings: Of the format: ``template_dir`` is where templates are.

        Raises:
            TemplateError: There is no such template, or it does not compile.
            UnsupportedOperationError: The format takes no templates.
        """
        if format not in TEXT_FORMATS:
            raise UnsupportedOperationError(
                f"format {format!r} takes no templates; these do: {', '.join(sorted(TEXT_FORMATS))}"
            )
        if settings.template_dir is None:
            raise TemplateError(
                f"no templates for {format!r}: set formats.{format}.template_dir in the settings"
            )
        folder = Path(settings.template_dir)
        path = _find(folder, format, name)
        self._environment = _environment(str(folder), autoescape=format == "html")
        with _translated(name):
            self._compiled = self._environment.get_template(path.name)
        self._name = name

    def stream(self, document: Document, records: Iterator[Record], context: Any) -> Iterator[str]:
        """Yield the text; ``records`` are read as the template asks for them.

        Raises:
            TemplateError: It names what is not there, or goes too far.
        """
        watched = _Watched(records)
        values = {
            "title": title_of(document),
            "document": {
                name: getattr(document, name)
                for name in ("title", "kind", "author", "description", "language", "created_at")
            },
            "metadata": dict(document.metadata),
            "facts": facts_of(document, context) if context.include_metadata else [],
            "include_metadata": context.include_metadata,
            "now": context.now,
            # one stream under the names that people look for
            **dict.fromkeys(("records", "segments", "sections", "citations", "rows"), watched),
        }
        with _translated(self._name, watched):
            yield from self._compiled.generate(values)


def _find(folder: Path, format: str, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise TemplateError(f"not a name of a template: {str(name)[:80]!r}; letters, digits, _ . -")
    root = folder.resolve()
    for candidate in (name, f"{name}.{format}.j2", f"{name}.j2"):
        path = root / candidate
        # a link inside the folder could lead anywhere
        if path.is_file() and path.resolve().parent == root:
            return path
    raise TemplateError(f"no template {name!r} in formats.{format}.template_dir")


class _Watched:
    """The records, remembering what went wrong in reading them: no fault of the template."""

    def __init__(self, records: Iterator[Record]) -> None:
        self._records = records
        self.error: BaseException | None = None

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        try:
            return next(self._records)
        except StopIteration:
            raise
        except BaseException as exc:
            self.error = exc
            raise


@contextmanager
def _translated(name: str, records: _Watched | None = None) -> Generator[None, None, None]:
    try:
        yield
    except TemplateError:
        raise
    except Exception as exc:
        if records is not None and records.error is exc:
            raise
        line = getattr(exc, "lineno", None)
        where = f" at line {line}" if line else ""
        raise TemplateError(f"template {name!r}{where}: {str(exc)[:300]}") from exc


@lru_cache(maxsize=64)
def _environment(folder: str, *, autoescape: bool) -> Any:
    import jinja2
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Sandbox(ImmutableSandboxedEnvironment):
        """Jinja's sandbox, with a bound on what one multiplication or power can make."""

        intercepted_binops = frozenset({"*", "**"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if _too_much(operator, left, right):
                raise SecurityError(f"the operator {operator} would make too large a value")
            return super().call_binop(context, operator, left, right)

    made = Sandbox(
        loader=jinja2.FunctionLoader(lambda name: _source(Path(folder), name)),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"timestamp": stamp, "srt_time": _srt_time, "vtt_time": _vtt_time}
    made.tests |= {
        "segment": lambda value: isinstance(value, Segment),
        "section": lambda value: isinstance(value, Section),
        "citation": lambda value: isinstance(value, Citation),
        "row": lambda value: isinstance(value, Row),
    }
    return made


def _source(folder: Path, name: str) -> tuple[str, str, Any] | None:
    path = folder / name
    if not _NAME.fullmatch(name) or not path.is_file() or path.resolve().parent != folder.resolve():
        return None
    if path.stat().st_size > _MAX_SOURCE:
        raise TemplateError(f"template {name!r} is over {_MAX_SOURCE} bytes")
    changed = path.stat().st_mtime_ns
    return path.read_text("utf-8"), name, lambda: path.stat().st_mtime_ns == changed


def _too_much(operator: str, left: Any, right: Any) -> bool:
    if operator == "**":
        numbers = isinstance(left, int) and isinstance(right, int)
        return numbers and abs(left).bit_length() * max(0, right) > _MAX_PRODUCT
    for one, other in ((left, right), (right, left)):
        if isinstance(one, str | bytes | list | tuple) and isinstance(other, int):
            return len(one) * other > _MAX_PRODUCT
    return (
        isinstance(left, int)
        and isinstance(right, int)
        and (left.bit_length() + right.bit_length() > _MAX_PRODUCT)
    )


def _srt_time(seconds: float | None) -> str:
    return cue_time(millis(seconds or 0.0), ",")


def _vtt_time(seconds: float | None) -> str:
    return cue_time(millis(seconds or 0.0), ".")
