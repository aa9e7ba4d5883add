"""The recorded results in short, as JSON: a few figures beside the best peer, and all bars."""

import json
import statistics
from pathlib import Path
from typing import Any

RESULTS = (
    Path(__file__).parents[3] / "docs" / "notify" / "explanation" / "benchmarks" / "results.json"
)
ROWS = (
    ("smtp", "Apprise", "mails to a local sink"),
    ("fan-out-1000", "python-socketio", "one message to 1,000 sockets"),
    ("fan-out-5000", "python-socketio", "one message to 5,000 sockets"),
    ("http", "Apprise", "messages to one HTTP provider"),
)


def row(measure: dict[str, Any], peer: str) -> dict[str, Any] | None:
    """Return our figure and that of the peer."""
    figures = measure["figures"]
    own = [each for each in figures.values() if each["ours"] and each["values"]]
    others = [who for who in figures if who.startswith(peer) and figures[who]["values"]]
    if not own or not others:
        return None
    theirs = statistics.median(figures[others[0]]["values"])
    return {"ours": statistics.median(own[0]["values"]), "peer": others[0], "theirs": theirs}


def main() -> None:
    """Print them."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    rows = []
    for name, peer, what in ROWS:
        measure = results["measures"].get(name)
        if measure and (found := row(measure, peer)):
            unit, more = measure["unit"], measure["more"]
            rows.append({"what": what, "unit": unit, "at_least": more, **found})
    about = {name: results["about"][name] for name in ("measured", "machine", "Python")}
    print(json.dumps({"about": about, "rows": rows, "bars": results["bars"]}))


if __name__ == "__main__":
    main()
