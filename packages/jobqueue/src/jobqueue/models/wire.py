"""Jobs and figures as JSON: what the web application answers and the command line prints.

The names are Python's in camelCase, times are ISO 8601 in UTC, lengths of time are seconds.
"""

import dataclasses
from typing import Any

from . import Job, Latencies, QueueStats

_LONG = ("data", "result", "headers")
_LINE = 300


def camel(name: str) -> str:
    """Return a Python name in camelCase."""
    first, *others = name.split("_")
    return first + "".join(each.capitalize() for each in others)


def to_json(value: Job | QueueStats | Latencies) -> dict[str, Any]:
    """Return what JSON shows of a job or of figures."""
    fields = dataclasses.fields(value)
    return {camel(each.name): getattr(value, each.name) for each in fields}


def brief(job: Job) -> dict[str, Any]:
    """Return a job as in a list: without what may be long, the error's first line."""
    shown = to_json(job)
    for name in _LONG:
        del shown[name]
    if job.error is not None:
        shown["error"] = job.error.partition("\n")[0][:_LINE]
    return shown
