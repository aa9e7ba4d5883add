"""Jinja2 templates for text formats: run in a sandbox, streamed."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..documents import Document, Record
from ..errors import ExportError, TemplateError
from ..ports import RenderContext
from ..presentation import facts_of, title_of
from ..sandbox import environment
from ..texts import utf8

_MAX_RANGE = 100_000
TEXT_FORMATS = frozenset({"txt", "html", "md", "json", "jsonl", "csv", "tsv", "srt", "vtt"})


class TextTemplate:
    """A compiled template of one text format."""

    def __init__(self, format: str, name: str, path: Path) -> None:
        """Compile the file ``path``; ``name`` is what it was asked for by.

        Raises:
            TemplateError: It does not compile.
        """
        self._known = (format, name, path)
        self._name = name
        with _translated(name):
            folder = environment(str(path.parent), autoescape=format == "html")
            self._compiled = folder.get_template(path.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._known  # a compiled template cannot go to another process

    def stream(
        self,
        document: Document,
        records: Iterator[Record],
        context: RenderContext,
        check: Callable[[], None],
    ) -> Iterator[bytes]:
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
            "range": _ranges(check),
            # one stream under the names that people look for
            **dict.fromkeys(("records", "segments", "sections", "citations", "rows"), watched),
        }
        with _translated(self._name, watched):
            for text in self._compiled.generate(values):
                yield utf8(text)


def _ranges(check: Callable[[], None]) -> Callable[..., "_Range"]:
    def make(*bounds: int) -> _Range:
        found = range(*bounds)
        if len(found) > _MAX_RANGE:
            raise TemplateError(f"a range of {len(found)} is too long; at most {_MAX_RANGE}")
        return _Range(found, check)

    return make


class _Range(Sequence[int]):
    """A range that stops with the export: loops in loops that write nothing take for ever."""

    def __init__(self, numbers: range, check: Callable[[], None]) -> None:
        self._numbers, self._check = numbers, check

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        return self._numbers[index]

    def __iter__(self) -> Iterator[int]:
        for count, number in enumerate(self._numbers):
            if not count % 256:
                self._check()
            yield number


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
    except ExportError:
        raise
    except Exception as exc:
        if records is not None and records.error is exc:
            raise
        line = getattr(exc, "lineno", None)
        where = f" at line {line}" if line else ""
        raise TemplateError(f"template {name!r}{where}: {str(exc)[:300]}") from exc
