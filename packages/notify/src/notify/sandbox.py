"""Jinja2 in a sandbox: no code, no unknown names, no files elsewhere, no endless output."""

import functools
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import (
    BaseLoader,
    Environment,
    StrictUndefined,
    TemplateNotFound,
    nodes,
    pass_eval_context,
)
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.filters import make_attrgetter
from jinja2.sandbox import ImmutableSandboxedEnvironment

from .errors import TemplateError
from .settings import TemplateSettings

# methods and filters that make megabytes of a few characters
_BLOWN_UP = {"format", "format_map", "center", "ljust", "rjust", "zfill", "expandtabs"}
_NO_FILTERS = ("center", "format", "indent", "wordwrap", "pprint", "tojson", "xmlattr")
# filters that write out whatever they are given, before they do anything
_WRITING = (
    "capitalize", "e", "escape", "forceescape", "lower", "safe", "string", "striptags", "title",
    "trim", "truncate", "upper", "urlencode", "urlize", "wordcount",
)  # fmt: skip
_LONGEST_NUMBER = 4096  # bits
_DIGITS = 100


class Loader(BaseLoader):
    """Reads files of one folder and nothing outside it, also through links or ``include``."""

    def __init__(self, folder: Path, max_size: int) -> None:
        self._folder, self._max_size = folder.resolve(), max_size

    def get_source(
        self,
        environment: Environment,  # noqa: ARG002  Jinja2 passes it
        template: str,
    ) -> tuple[str, str, Callable[[], bool]]:
        """Return text, name and freshness of a file, for Jinja2."""
        try:
            path = (self._folder / template).resolve()
            if not path.is_relative_to(self._folder) or not path.is_file():
                raise TemplateNotFound(template)
            size, changed = path.stat().st_size, path.stat().st_mtime
            if size > self._max_size:
                raise TemplateError(f"template {template!r} is over {self._max_size} bytes")
            text = path.read_text("utf-8")
        except (OSError, ValueError):
            raise TemplateNotFound(template) from None
        return text, str(path), lambda: path.is_file() and path.stat().st_mtime == changed


class _Generator(CodeGenerator):
    """Compiles templates; ``a ~ b`` so that its parts are looked at before they are one."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802  Jinja2's name
        self.write("environment.concatenated(context.eval_ctx, (")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class Sandbox(ImmutableSandboxedEnvironment):
    """No code, no unknown names, no endless or endlessly growing output."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})
    code_generator_class = _Generator

    def __init__(self, loader: BaseLoader, settings: TemplateSettings, *, escape: bool) -> None:
        super().__init__(
            loader=loader,
            undefined=StrictUndefined,
            autoescape=escape,
            keep_trailing_newline=False,
            finalize=self._checked,
        )
        self.deadline = float("inf")
        self._limit = settings.max_size
        del self.globals["lipsum"]  # so many paragraphs as it is asked for
        for name in _NO_FILTERS:
            self.filters.pop(name, None)
        self._known: dict[str, Any] = dict(self.filters)
        self.filters |= {name: self._writing(self._known[name]) for name in _WRITING}
        self.filters |= {
            "replace": self._replaced, "join": self._joined, "batch": self._batched,
            "slice": self._sliced, "sum": self._summed, "round": self._rounded,
        }  # fmt: skip

    def _checked(self, value: Any) -> Any:
        """Return ``value``, unless it would be huge as text. A text is there already."""
        if not isinstance(value, str) and size_of(value, self._limit) > self._limit:
            raise SecurityError("a value grows over the limit")
        return value

    def _writing(self, known: Callable[..., Any]) -> Callable[..., Any]:
        """Return a filter that looks at what it is given first."""

        @functools.wraps(known)
        def filtered(*args: Any, **named: Any) -> Any:
            self._on_time()
            for each in args:
                self._checked(each)
            return known(*args, **named)

        return filtered

    def _on_time(self) -> None:
        if time.monotonic() > self.deadline:
            raise SecurityError("the template takes too long")

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Refuse also the methods that blow text up."""
        return not (isinstance(obj, str) and attr in _BLOWN_UP) and super().is_safe_attribute(
            obj, attr, value
        )

    def wrap_str_format(self, value: Any) -> Any:
        """Refuse ``str.format``: a width makes gigabytes."""
        if super().wrap_str_format(value) is not None:
            raise SecurityError("str.format is not allowed")
        return None

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look up, while there is time."""
        self._on_time()
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Look up, while there is time."""
        self._on_time()
        return super().getitem(obj, argument)

    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call, while there is time."""
        self._on_time()
        text, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        if isinstance(text, str) and name == "replace" and len(args) > 1:
            self._check_replaced(text, *map(str, args[:2]))
        if isinstance(text, str) and name == "join" and args:
            args = (self._checked_items(text, args[0]), *args[1:])
        return super().call(context, obj, *args, **kwargs)

    @pass_eval_context
    def _replaced(self, how: Any, s: Any, old: Any, new: Any, count: Any = None) -> Any:
        """Do what the filter ``replace`` does, unless the result would be huge."""
        self._check_replaced(str(s), str(old), str(new))
        return self._known["replace"](how, s, old, new, count)

    @pass_eval_context
    def _joined(self, how: Any, value: Any, d: Any = "", attribute: Any = None) -> Any:
        """Do what the filter ``join`` does, unless the result would be huge."""
        found = value if attribute is None else map(make_attrgetter(self, attribute), value)
        return self._known["join"](how, self._checked_items(str(d), found), d)

    def concatenated(self, how: Any, parts: tuple[Any, ...]) -> Any:
        """Do what ``~`` does, unless the result would be huge."""
        return self._joined(how, parts)

    def _batched(self, value: Any, linecount: Any, fill_with: Any = None) -> Any:
        """Do what the filter ``batch`` does, with lines that are not huge."""
        return self._known["batch"](value, self._some(linecount), fill_with)

    @pass_eval_context
    def _sliced(self, how: Any, value: Any, slices: Any, fill_with: Any = None) -> Any:
        """Do what the filter ``slice`` does, with slices that can be counted."""
        return self._known["slice"](how, value, self._some(slices), fill_with)

    def _some(self, count: Any) -> Any:
        if _number(count) > self._limit:
            raise SecurityError("a value grows over the limit")
        return count

    def _summed(self, iterable: Any, attribute: Any = None, start: Any = 0) -> Any:
        """Do what the filter ``sum`` does, of numbers."""
        if not isinstance(start, int | float):
            raise SecurityError("only numbers are summed")
        return self._known["sum"](self, iterable, attribute, start)

    def _rounded(self, value: Any, precision: Any = 0, method: Any = "common") -> Any:
        """Do what the filter ``round`` does, for as many digits as anybody reads."""
        if abs(_number(precision)) > _DIGITS:
            raise SecurityError(f"round knows up to {_DIGITS} digits")
        return self._known["round"](value, precision, method)

    def _check_replaced(self, text: str, old: str, new: str) -> None:
        # markup makes up to six characters of one
        if len(text) + 6 * text.count(old) * len(new) > 6 * self._limit:
            raise SecurityError("a value grows over the limit")

    def _checked_items(self, between: str, items: Any) -> list[Any]:
        made = list(items)
        if len(made) * len(between) + size_of(made, self._limit) > self._limit:
            raise SecurityError("a value grows over the limit")
        return made

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Compute, unless the result would be huge."""
        self._on_time()
        sizes = [len(each) if isinstance(each, str | list | tuple) else 0 for each in (left, right)]
        if operator == "%" and isinstance(left, str):
            raise SecurityError("% on text is not allowed")
        if operator == "+" and sum(sizes) > self._limit:
            raise SecurityError("a value grows over the limit")
        if operator == "*" and max(sizes) and max(sizes) * _count(left, right) > self._limit:
            raise SecurityError("a value grows over the limit")
        if operator == "*" and _bits(left) + _bits(right) > _LONGEST_NUMBER:
            raise SecurityError("a number grows over the limit")
        if operator == "**" and (abs(_number(left)) > 1e6 or abs(_number(right)) > 64):
            raise SecurityError("a power is over the limit")
        return super().call_binop(context, operator, left, right)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _bits(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else 0


def _count(*values: Any) -> float:
    return max(_number(value) for value in values)


def size_of(value: Any, limit: int) -> int:
    """Return about how many characters ``value`` is as text, or a number over ``limit``.

    What a list holds many times counts as often: that is how it is written.
    """
    size, left = 0, [value]
    while left and size <= limit:
        each = left.pop()
        if isinstance(each, str):
            size += len(each)
        elif isinstance(each, int):
            size += each.bit_length() // 3 + 1
        elif isinstance(each, Mapping):
            pairs: Mapping[Any, Any] = each
            size += 2 * len(pairs)
            left += [*pairs.keys(), *pairs.values()]
        elif isinstance(each, list | tuple | set | frozenset):
            items: Iterable[Any] = each
            size += len(each)  # pyright: ignore[reportUnknownArgumentType]  of anything
            left += items
        else:
            size += 1
    return size
