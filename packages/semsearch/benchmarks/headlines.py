"""The recorded results in short, as JSON: a few figures beside the best peer, and all bars."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RESULTS = (
    Path(__file__).parents[3] / "docs" / "semsearch" / "explanation" / "benchmarks" / "results.json"
)
MOST, FEW = "100,000", "10,000"
# table, figure, our contender, title, unit, whether more is better
ROWS = (
    (f"keywords {MOST}", "add", "semsearch", "one more of 100,000 documents", "ms", False),
    ("quality cranfield", "ndcg", "semsearch", "nDCG@10 of words alone, Cranfield", "", True),
    (f"keywords {MOST}", "query", "semsearch", "words in 100,000 documents", "ms", False),
    (f"vectors {FEW}", "query", "semsearch, edge", "nearest of 10,000 vectors", "ms", False),
    (f"vectors {FEW}", "filtered", "semsearch, edge", "the same with a filter", "ms", False),
)
# table, contender, figure, limit, unit, whether at least
BARS = (
    ("quality cranfield", "semsearch", "ndcg", 0.364, "nDCG@10", True),
    (f"keywords {MOST}", "semsearch", "query", 1.0, "ms", False),
    (f"keywords {MOST}", "semsearch", "add", 6.0, "ms", False),
    (f"service {FEW}", "semsearch, memory", "query", 2.0, "ms", False),
    (f"service {FEW}", "semsearch, memory", "filtered", 2.0, "ms", False),
    (f"vectors {MOST}", "semsearch, edge", "query", 1.0, "ms", False),
    (f"vectors {MOST}", "semsearch, edge", "recall", 0.97, "recall@10", True),
)
# the way of searching, the embedder, the limit: with the parts of long documents of our defaults
_OURS = "parts of 200 words"
WAYS = (
    ("minmax", "MiniLM", 0.414),
    ("minmax_expanded", "MiniLM", 0.437),
    ("minmax_expanded", "WordLlama", 0.391),
)
OVERHEAD = 1.15


def number(value: Any) -> float:
    """Return the figure of what may have a spread."""
    return float(value["median"] if isinstance(value, dict) else value)


def rows(tables: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what a reader may want to know first."""
    for name, figure, own, what, unit, more in ROWS:
        table = tables.get(name, {})
        others = {
            who: number(each[figure])
            for who, each in table.items()
            if figure in each and not who.startswith("semsearch")
        }
        if own in table and others:
            best = (max if more else min)(others, key=others.__getitem__)
            found = {"ours": number(table[own][figure]), "peer": best, "theirs": others[best]}
            yield {"what": what, "unit": unit, "at_least": more, **found}


def bars(tables: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what was to be reached."""
    for name, who, figure, limit, unit, more in BARS:
        if figure in tables.get(name, {}).get(who, {}):
            value = number(tables[name][who][figure])
            yield bar(
                f"{name}, {who.removeprefix('semsearch, ')}, {figure}",
                unit,
                limit,
                value,
                more=more,
            )
    for way, model, limit in WAYS:
        for who, each in tables.get("ways cranfield", {}).items():
            if who == f"{model}, {_OURS}" and way in each:
                value = number(each[way])
                yield bar(f"Cranfield, {who}, {way}", "nDCG@10", limit, value, more=True)
    for name, table in tables.items():
        for who in table if name.startswith("overhead") else ():
            client = who.removeprefix("semsearch over ")
            if client != who and f"{client} alone" in table:
                value = number(table[who]["query"]) / number(table[f"{client} alone"]["query"])
                yield bar(f"{name}, {client}", "x the client", OVERHEAD, value, more=False)


def bar(what: str, unit: str, limit: float, value: float, *, more: bool) -> dict[str, Any]:
    """Return a bar and whether it is met."""
    met = value >= limit if more else value <= limit
    names = {"what": what, "unit": unit, "limit": limit}
    return {**names, "measured": value, "at_least": more, "met": met}


def main() -> None:
    """Print them."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    machine, _, python = results["about"]["machine"].partition(", Python ")
    about = {"measured": results["about"]["date"], "machine": machine, "Python": python}
    tables = results["tables"]
    print(json.dumps({"about": about, "rows": [*rows(tables)], "bars": [*bars(tables)]}))


if __name__ == "__main__":
    main()
