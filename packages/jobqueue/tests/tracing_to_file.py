"""Spans of other processes: each a line of JSON in a file that they share."""

import json
from pathlib import Path
from typing import Any


def trace_to(file: Path) -> None:
    """Record the spans of this process, and of those it forks, in ``file``."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    def line(span: Any) -> str:
        return json.dumps(json.loads(span.to_json())) + "\n"

    # unbuffered, so that each line is one write: lines of many processes never mix
    out: Any = _Text(file)
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=out, formatter=line)))
    trace.set_tracer_provider(provider)


class _Text:
    def __init__(self, file: Path) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with self._file.open("ab", buffering=0) as out:
            out.write(text.encode())

    def flush(self) -> None:
        pass


def spans_in(file: Path) -> list[dict[str, Any]]:
    """Return the spans that were recorded."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
