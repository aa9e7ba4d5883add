"""The recorded results in short, as JSON: a few figures beside the best peer, and all bars."""

import json
import statistics
from pathlib import Path
from typing import Any

RESULTS = (
    Path(__file__).parents[3] / "docs" / "jobqueue" / "explanation" / "benchmarks" / "results.json"
)
BACKENDS = {"redis": "Redis", "postgres": "PostgreSQL", "sqlite": "SQLite", "memory": "memory"}
ROWS = (
    ("drain", "redis", "jobs done, results kept, one worker, Redis", "jobs/s", True),
    ("drain", "postgres", "jobs done, results kept, one worker, PostgreSQL", "jobs/s", True),
    ("enqueue-many", "redis", "jobs enqueued, 1,000 a call, Redis", "jobs/s", True),
    ("latency", "redis", "from enqueue to the handler, idle, Redis", "ms", False),
    ("recovery", "redis", "a killed worker's job runs again, Redis", "s", False),
)
BARS = {
    "drain": "drain, results kept",
    "drain-off": "drain, results off",
    "enqueue": "enqueue one by one",
    "enqueue-many": "enqueue_many",
    "latency": "idle latency",
    "recovery": "rerun after SIGKILL",
    "import": "import",
    "backlog": "a million queued jobs",
}


def middle(figure: dict[str, Any]) -> float | None:
    """Return the median of a figure; None without values."""
    return statistics.median(figure["values"]) if figure["values"] else None


def row(results: dict[str, Any], name: str, backend: str, *, more: bool) -> dict[str, Any] | None:
    """Return our tuned figure and that of the best peer, raw clients left out."""
    figures = [each for each in results["measures"].get(name, {}).values() if middle(each)]
    there = [each for each in figures if each["backend"] == backend and each["peer"] != "raw"]
    own = [each for each in there if each["peer"] == "jobqueue" and each["variant"] == "tuned"]
    others = [each for each in there if each["peer"] != "jobqueue"]
    if not own or not others:
        return None
    best = (max if more else min)(others, key=middle)
    title = f"{best['title']} {best['version']}".strip()
    return {"ours": middle(own[0]), "peer": title, "theirs": middle(best)}


def main() -> None:
    """Print them."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    about, again = results["about"], results["about"].get("again", [])
    rows = []
    for name, backend, what, unit, more in ROWS:
        if found := row(results, name, backend, more=more):
            rows.append({"what": what, "unit": unit, "at_least": more, **found})
    bars = [
        {
            "what": f"{BARS[each['measure']]}, {BACKENDS[each['backend']]}",
            "unit": each["what"],
            **{name: each[name] for name in ("limit", "at_least", "measured", "met")},
        }
        for each in results["bars"]
    ]
    told = {
        "measured": max([about["measured_at"], *(each["measured_at"] for each in again)]),
        "machine": f"{about['cores']} cores, {about['cpu']}, {about['system']}",
        "Python": about["python"],
    }
    print(json.dumps({"about": told, "rows": rows, "bars": bars}))


if __name__ == "__main__":
    main()
