"""Correlation ids, trace context and spans; OpenTelemetry only where it is installed."""

import contextlib
import functools
from collections.abc import Generator, Mapping
from contextvars import ContextVar
from typing import Any, Literal

Kind = Literal["internal", "producer", "consumer"]
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
def restored(headers: Mapping[str, str]) -> Generator[None, None, None]:
    """Go on within the block in the trace that :func:`inject` put into ``headers``.

    No span is made: what the block starts or enqueues belongs to the one in the headers.
    """
    api = _api() if headers else None
    if api is None:
        yield
        return
    _, propagate, context = api
    token = context.attach(propagate.extract(dict(headers)))
    try:
        yield
    finally:
        context.detach(token)


def annotate(attributes: Mapping[str, Any]) -> None:
    """Set attributes of the current span; does nothing without one."""
    if (api := _api()) is not None:
        api[0].get_current_span().set_attributes(dict(attributes))


def record_error(exc: BaseException) -> None:
    """Mark the current span as failed by ``exc``, where the exception goes no further."""
    if (api := _api()) is None:
        return
    current = api[0].get_current_span()
    if current.is_recording():
        name = type(exc).__qualname__
        current.record_exception(exc)
        current.set_attribute("error.type", name)
        current.set_status(api[0].StatusCode.ERROR, name)


@contextlib.contextmanager
def span(
    tracer: str,
    name: str,
    attributes: Mapping[str, Any],
    *,
    parent: Mapping[str, str] | None = None,
    kind: Kind = "internal",
) -> Generator[None, None, None]:
    """Run the block in a span named ``name``; does nothing without OpenTelemetry.

    Args:
        tracer: The module that makes it, ``__name__``.
        name: The span's name by the semantic conventions.
        attributes: Its attributes.
        parent: Headers that :func:`inject` made in another process; the current context if None.
        kind: ``producer`` where a message is sent, ``consumer`` where one is processed.
    """
    if (api := _api()) is None:
        yield
        return
    trace, propagate, _ = api
    context = propagate.extract(dict(parent)) if parent else None
    with trace.get_tracer(tracer).start_as_current_span(
        name,
        context=context,
        kind=trace.SpanKind[kind.upper()],
        attributes=dict(attributes),
    ):
        yield
