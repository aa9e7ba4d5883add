"""The recorded results in short, as JSON: a few figures beside the best peer, and all bars."""

import json
import statistics
from pathlib import Path
from typing import Any

RESULTS = (
    Path(__file__).parents[3] / "docs" / "notify" / "explanation" / "benchmarks" / "results.json"
)
ROWS = (
    ("fan-out-1000", "one message to 1,000 sockets"),
    ("fan-out-5000", "one message to 5,000 sockets"),
    ("http", "messages to one HTTP provider"),
    ("smtp", "mails to a local sink"),
)


def row(measure: dict[str, Any], *, more: bool) -> dict[str, Any] | None:
    """Return our figure and that of the best peer; floors are none."""
    figures = [each for each in measure["figures"].values() if each["values"]]
    medians = {each["who"]: statistics.median(each["values"]) for each in figures}
    own = [each["who"] for each in figures if each["ours"]]
    peers = [each["who"] for each in figures if not each["ours"] and not each["floor"]]
    if not own or not peers:
        return None
    best = (max if more else min)(peers, key=medians.__getitem__)
    return {"ours": medians[own[0]], "peer": best, "theirs": medians[best]}


def main() -> None:
    """Print them."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    rows = []
    for name, what in ROWS:
        measure = results["measures"].get(name)
        if measure and (found := row(measure, more=measure["more"])):
            unit, more = measure["unit"], measure["more"]
            rows.append({"what": what, "unit": unit, "at_least": more, **found})
    about = {name: results["about"][name] for name in ("measured", "machine", "Python")}
    print(json.dumps({"about": about, "rows": rows, "bars": results["bars"]}))


if __name__ == "__main__":
    main()
