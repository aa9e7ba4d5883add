"""Jinja2 in a sandbox: templates of one folder, without ways out of it."""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from .documents import Citation, Row, Section, Segment
from .errors import TemplateError
from .texts import cue_time, millis, stamp

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
MAX_SOURCE = 1 << 20
_MAX_PRODUCT = 1_000_000


@lru_cache(maxsize=64)
def environment(folder: str, *, autoescape: bool, strict: bool = False) -> Any:
    """Return an environment for the templates of ``folder``.

    Args:
        folder: Where templates and what they include are.
        autoescape: Escape values for XML and HTML.
        strict: Leave no way to switch the escaping off.
    """
    import jinja2
    from jinja2.exceptions import SecurityError, TemplateSyntaxError
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Sandbox(ImmutableSandboxedEnvironment):
        """Jinja's sandbox, with a bound on what one multiplication or power can make."""

        intercepted_binops = frozenset({"*", "**"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if _too_much(operator, left, right):
                raise SecurityError(f"the operator {operator} would make too large a value")
            return super().call_binop(context, operator, left, right)

    class AlwaysEscape(Extension):
        """Refuses ``{% autoescape %}``, in whatever way it is spaced."""

        def filter_stream(self, stream: Any) -> Iterator[Any]:
            before = ""
            for token in stream:
                if before == "block_begin" and token.value == "autoescape":
                    raise TemplateSyntaxError("escaping cannot be switched off", token.lineno)
                before = token.type
                yield token

    made = Sandbox(
        loader=jinja2.FunctionLoader(lambda name: _source(Path(folder), name)),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=[AlwaysEscape] if strict else [],
    )
    made.filters |= {"timestamp": stamp, "srt_time": _srt_time, "vtt_time": _vtt_time}
    if strict:
        del made.filters["safe"]
    made.tests |= {
        name: _test(name, kind)
        for name, kind in (
            ("segment", Segment), ("section", Section), ("citation", Citation), ("row", Row),
        )
    }  # fmt: skip
    return made


def _test(name: str, kind: type) -> Any:
    def test(value: Any) -> bool:
        return isinstance(value, kind) or (isinstance(value, dict) and value.get("kind") == name)

    return test


def _source(folder: Path, name: str) -> tuple[str, str, Any] | None:
    path = folder / name
    if not NAME.fullmatch(name) or not path.is_file() or path.resolve().parent != folder.resolve():
        return None
    if path.stat().st_size > MAX_SOURCE:
        raise TemplateError(f"template {name!r} is over {MAX_SOURCE} bytes")
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
