"""The recorded results in short, as JSON: a few figures beside the best peer, and all bars."""

import json
import statistics
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[3] / "docs" / "tiered-cache" / "explanation" / "benchmarks"
OWN = "tiered-cache"
ASYNC, SYNC = "async decorator, hit in L1", "sync decorator, hit in L1"
ONE, MANY = "get of 1 KB from L2, one after the other", "get of 1 KB from L2, 64 tasks"
STAMPEDE = "1,000 tasks, one cold key, a factory of 50 ms"
TAG, SET = "invalidate a tag on 10,000 values", "set, without and with a tag"
PATTERN = "delete_pattern, 10 % of 100,000 keys"
# what is no contender, but what nothing can be faster than
FLOORS = {
    "hand-written dict with ttl",
    "a coroutine call alone",
    "functools.lru_cache",
    "redis-py GET",
    "a round trip (PING)",
}
ROWS = (ASYNC, MANY, SYNC, STAMPEDE, TAG)
# title, our row, the limit, its unit: of the row named behind "x", or of the figure itself
BARS = (
    (ASYNC, OWN, 2.0, "x hand-written dict with ttl"),
    (ASYNC, "tiered-cache, a tag", 2.0, "x hand-written dict with ttl"),
    (ASYNC, "tiered-cache, a method", 2.5, "x hand-written dict with ttl"),
    (SYNC, OWN, 300, "ns"),
    ("sync facade, get of a hit in L1", "tiered-cache facade", 2000, "ns"),
    (ONE, OWN, 1.3, "x redis-py GET"),
    (MANY, OWN, 12_000, "ns/op"),
    (STAMPEDE, OWN, 70, "ms"),
    ("factory calls of the same", OWN, 1, "calls"),
    ("4 processes of 250 tasks, one cold key", OWN, 150, "ms"),
    ("factory calls of all four", OWN, 1, "calls"),
    (TAG, OWN, 0.3, "ms"),
    ("until another process no longer serves it", OWN, 2, "ms"),
    (SET, "tiered-cache set with a tag", 1.1, "x tiered-cache set"),
    (PATTERN, OWN, 1.2, "x raw SCAN COUNT 1000 and UNLINK"),
    ("Redis frozen: each one after it", OWN, 1, "ms"),
)
RATIOS = (("zipf 0.99", 57.5), ("zipf + 20 % scan", 45.5), ("loop of 1.2 x", 60))


def measured(tables: dict[str, Any], title: str, own: str, unit: str) -> float:
    """Return the median of a row, divided by that of another if the unit names one."""
    rows = tables[title]["rows"]
    value = statistics.median(rows[own])
    return value / statistics.median(rows[unit[2:]]) if unit.startswith("x ") else value


def bars(tables: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all bars."""
    found = []
    for title, own, limit, unit in BARS:
        value = measured(tables, title, own, unit)
        what = title + own.removeprefix(OWN) * title.startswith("async")
        found.append([what, unit, limit, value, False, value <= limit])
    for title, least in RATIOS:
        value = measured(tables, title, "tiered-cache s3fifo", "")
        found.append([f"hits, {title}", "%", least, value, True, value >= least])
    names = ("what", "unit", "limit", "measured", "at_least", "met")
    return [dict(zip(names, each, strict=True)) for each in found]


def rows(tables: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a reader may want to know first."""
    found = []
    for title in ROWS:
        table = tables[title]
        medians = {who: statistics.median(values) for who, values in table["rows"].items()}
        peers = [who for who in medians if not who.startswith(OWN) and who not in FLOORS]
        if peers:
            best = min(peers, key=medians.__getitem__)
            names = {"what": title, "unit": table["unit"].removesuffix("/op"), "at_least": False}
            found.append({**names, "ours": medians[OWN], "peer": best, "theirs": medians[best]})
    return found


def main() -> None:
    """Print them."""
    files = [
        json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("hits", "shared", "ratio")
    ]
    tables = {table["title"]: table for each in files for table in each["tables"]}
    machine = files[0]["machine"]
    about = {
        "measured": max(each["measured_at"] for each in files)[:10],
        "machine": f"{machine['cpus']} cores, {machine['system'].partition('-')[0]}",
        "Python": machine["python"],
    }
    print(json.dumps({"about": about, "rows": rows(tables), "bars": bars(tables)}))


if __name__ == "__main__":
    main()
