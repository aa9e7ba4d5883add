"""Documents, records and hostile text to test with."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from .._common.clock import new_id
from ..documents import Citation, Document, Item, Section, Segment, Table, Word
from ..engine import Order, Produced, produce
from ..formats import Format
from ..ports import JobRecord, Renderer
from ..settings import FormatSettings, FormatsSettings
from ..sink import Control

# Text that has broken renderers: markup, cues, formulas, controls, surrogates, scripts, length.
HOSTILE: tuple[str, ...] = (
    "plain",
    "<b>bold</b> & <script>alert(1)</script> ]]> &amp; <!-- -->",
    '<img src="file:///etc/passwd"/><a href="javascript:x">y</a>',
    "00:00:01,000 --> 00:00:02,000",
    "at 00:01:02.500 and again 00:01:03.700 he said",
    "12\n00:00:09,000 --> 00:00:10,000\nforged",
    "line one\n\nline three",
    "ends in a number\n42",
    "bare\rreturn and\x0bvertical\x0cform\u2028separator",
    "nul \x00 bell \x07 escape \x1b[31m c1 \x85\x9b del \x7f",
    "lone \ud800 surrogates \udfff and \ufffe\uffff",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "+1-2",
    "\t=tab",
    "\uff1dfull width",
    "{\\an8}top {\\b1}x",
    "{{ 7*7 }} {% raw %} ${x} #{y}",
    "# heading\n- item\n1. one\n> quote\n| cell |\n    code",
    "[link](http://example.com) ![img](x) `code` **b** _i_ ~~s~~",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 (123)",
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
    "\u202eoverride\u202c \u2066isolate\u2069",
    "\u4eca\u5929\u7684\u4f1a\u8bae \u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea e\u0301 \U0001f9e0",
    "\u0928\u092e\u0938\u094d\u0924\u0947",
    "private \ue000 use",
    "w" * 5000,
    "\u754c" * 500,
    " lead and trail ",
    "",
)


class _Bytes:
    """Collects what is written."""

    def __init__(self) -> None:
        self.data = bytearray()

    def __call__(self, block: bytes) -> None:
        self.data += block


def render(
    renderer: type[Renderer],
    document: Document,
    *,
    settings: FormatSettings | None = None,
    include_metadata: bool = True,
    max_size: int | None = None,
    control: Control | None = None,
    items: Iterable[Item] | None = None,
) -> tuple[bytes, Produced, list[str]]:
    """Return the bytes of ``document`` in a format, the figures, and what was reported."""
    known = Format(renderer.format, renderer.content_type, renderer.format, renderer=renderer)
    order = Order(
        known,
        settings or FormatsSettings().of(renderer.format),
        datetime(2026, 11, 23, 12, tzinfo=UTC),
        max_size,
        None,
        include_metadata,
    )
    out, steering = _Bytes(), control or Control()
    records: Any = document.records if items is None else items
    made = produce(order, document, records, out, steering, resolve=lambda value: value)
    return bytes(out.data), made, steering.notes()


def documents() -> dict[str, Document]:
    """Return one document of each kind, hostile text included."""
    segments = [
        Segment(text, n * 3.0, n * 3.0 + 2.5, ("Ann", "B\u00e9la <b>", None)[n % 3])
        for n, text in enumerate(HOSTILE)
    ]
    segments.append(Segment("one two", 500.0, 501.0, "Ann", (Word("one", 500.0, 500.4),)))
    return {
        "transcript": Document(
            "Talk & <title>",
            "transcript",
            segments,
            author="Ann",
            language="en",
            metadata={"duration": 93.0, "odd key": ["a", "b"]},
        ),
        "summary": Document(
            "Summary",
            "summary",
            [Section(text[:60], text, [text[:200]], 1 + n % 6) for n, text in enumerate(HOSTILE)],
        ),
        "rag": Document(
            "Answer",
            "rag",
            [
                Section("Question", "Why?", role="question"),
                Section("Answer", "Because [1].", role="answer"),
                *(Citation(text[:80], text, "http://example.com/?a=<b>", 0.5) for text in HOSTILE),
            ],
        ),
        "custom": Document(
            "Rows",
            "custom",
            [
                Table(
                    ("text", "number", "other"),
                    [[text, n * 1.5, None] for n, text in enumerate(HOSTILE)],
                )
            ],
        ),
    }


def record(**fields: Any) -> JobRecord:
    """Return a record with a new id, of a text export unless said otherwise."""
    base: dict[str, Any] = {
        "id": new_id(),
        "format": "txt",
        "source_type": "custom",
        "source_id": "1",
    }
    return JobRecord(**{**base, **fields})
