"""Recorded results in short, as JSON: a few figures beside the best peer, and all bars."""

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def row(measure: dict[str, Any]) -> dict[str, Any] | None:
    """Return our figure and that of the best peer; floors are none."""
    figures = [each for each in measure["figures"].values() if each["values"]]
    medians = {each["who"]: statistics.median(each["values"]) for each in figures}
    own = [each["who"] for each in figures if each["ours"]]
    peers = [each["who"] for each in figures if not each["ours"] and not each["floor"]]
    if not own or not peers:
        return None
    best = (max if measure["more"] else min)(peers, key=medians.__getitem__)
    return {"ours": medians[own[0]], "peer": best, "theirs": medians[best]}


def tell(path: Path, wanted: Iterable[tuple[str, str]]) -> None:
    """Print them: of the measurements that are ``wanted``, by name and what they are called."""
    results = json.loads(path.read_text(encoding="utf-8"))
    rows = []
    for name, what in wanted:
        measure = results["measures"].get(name)
        if measure and (found := row(measure)):
            unit, more = measure["unit"], measure["more"]
            rows.append({"what": what, "unit": unit, "at_least": more, **found})
    about = {name: results["about"][name] for name in ("measured", "machine", "Python")}
    print(json.dumps({"about": about, "rows": rows, "bars": results["bars"]}))
