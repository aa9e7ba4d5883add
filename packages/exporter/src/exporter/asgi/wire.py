"""What browsers send and get: the specification's names in camelCase; see ``client.d.ts``."""

from typing import Any

from .._common.web import WebError
from ..models import ExportJob, ExportOptions, ExportSource
from ..texts import quoted

# of the server's own tracing: nothing for browsers
_TRACE = frozenset({"traceparent", "tracestate", "baggage"})
_OPTIONS = {
    "template": "template",
    "includeMetadata": "include_metadata",
    "filename": "filename",
    "ttl": "ttl",
}


def to_wire(job: ExportJob) -> dict[str, Any]:
    """Return a job as browsers get it: what is absent is left out, no path of this machine."""
    fields: dict[str, Any] = {
        "id": job.id,
        "status": job.status,
        "format": str(job.format),
        "source": {"type": job.source.type, "id": job.source.id},
        "progress": job.progress,
        "downloadUrl": job.download_url,
        "expiresAt": job.expires_at,
        "error": job.error,
        "createdAt": job.created_at,
        "completedAt": job.completed_at,
        "filename": job.filename,
        "contentType": job.content_type,
        "size": job.size,
        "sha256": job.sha256,
        "pages": job.pages,
        "records": job.records,
        "warnings": list(job.warnings),
        "attempts": job.attempts,
        "metadata": {key: value for key, value in job.metadata.items() if key not in _TRACE},
    }
    return {name: value for name, value in fields.items() if value is not None}


def position(job: ExportJob) -> str:
    """Return what tells a state of a job from its other states: the id of its event."""
    return f"{job.attempts}.{job.status}.{job.progress:.6g}"


def source_from(body: Any) -> ExportSource:
    """Return the source that a request names.

    Raises:
        WebError: 400, it names none.
    """
    given = body.get("source") if isinstance(body, dict) else None
    if not isinstance(given, dict):
        raise WebError(400, "expected {source: {type, id, data?}, format, options?}")
    data = given.get("data")
    if data is not None and not isinstance(data, dict | list):
        raise WebError(400, "source.data must be an object or a list")
    return ExportSource(str(given.get("type", "")), str(given.get("id", "")), data)


def options_from(body: Any) -> ExportOptions:
    """Return the options of a request.

    Raises:
        WebError: 400, there are unknown ones; values are checked by the service.
    """
    given = body.get("options") or {}
    if not isinstance(given, dict):
        raise WebError(400, f"options must be an object with {', '.join(_OPTIONS)}")
    if unknown := sorted(given.keys() - _OPTIONS.keys()):
        raise WebError(400, f"no option {quoted(unknown[0])}; options are {', '.join(_OPTIONS)}")
    values = {_OPTIONS[key]: value for key, value in given.items() if value is not None}
    if not isinstance(values.get("include_metadata", True), bool):
        raise WebError(400, "includeMetadata is true or false")
    return ExportOptions(**values)
