"""Correlation ids, trace context and spans; OpenTelemetry only where it is installed."""

import contextlib
import functools
from collections.abc import Generator, Mapping
from contextvars import ContextVar
from typing import Any

_correlation: ContextVar[str | None] = ContextVar("correlation_id", default=None)


@functools.cache
def _api() -> Any:
    """Return OpenTelemetry's trace, propagation and context; None without the extra ``otel``."""
    try:
        from opentelemetry import context, propagate, trace
    except ImportError:
        return None
    return trace, propagate, context


def is_traced() -> bool:
    """Whether spans are recorded: OpenTelemetry is installed and the application set it up."""
    if (api := _api()) is None:
        return False
    return not isinstance(api[0].get_tracer_provider(), api[0].ProxyTracerProvider)


def correlation_id() -> str | None:
    """Return the id that ties log lines and records of one request together.

    It is what :func:`correlated` set, else the id of the current trace, else None.
    """
    if (value := _correlation.get()) is not None:
        return value
    if (api := _api()) is None:
        return None
    context = api[0].get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


@contextlib.contextmanager
def correlated(value: str | None) -> Generator[None, None, None]:
    """Make ``value`` the correlation id within the block (None leaves it as it is)."""
    if value is None:
        yield
        return
    token = _correlation.set(value)
    try:
        yield
    finally:
        _correlation.reset(token)


def inject() -> dict[str, str]:
    """Return the current trace context as headers (``traceparent``); empty without a trace."""
    headers: dict[str, str] = {}
    # an empty context is the common case, and four times as fast to see as to inject
    if (api := _api()) is not None and api[2].get_current():
        api[1].inject(headers)
    return headers


@contextlib.contextmanager
def span(
    tracer: str,
    name: str,
    attributes: Mapping[str, Any],
    *,
    parent: Mapping[str, str] | None = None,
) -> Generator[None, None, None]:
    """Run the block in a span named ``name``; does nothing without OpenTelemetry.

    Args:
        tracer: The module that makes it, ``__name__``.
        name: The span's name by the semantic conventions.
        attributes: Its attributes.
        parent: Headers that :func:`inject` made in another process; the current context if None.
    """
    if (api := _api()) is None:
        yield
        return
    trace, propagate, _ = api
    context = propagate.extract(dict(parent)) if parent else None
    with trace.get_tracer(tracer).start_as_current_span(
        name, context=context, attributes=dict(attributes)
    ):
        yield
