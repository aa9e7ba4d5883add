"""The recorded results in short, as JSON: a few figures beside the best peer, and all bars."""

import json
import statistics
from pathlib import Path
from typing import Any

RESULTS = (
    Path(__file__).parents[3] / "docs" / "exporter" / "explanation" / "figures" / "results.json"
)
FORMATS = {"docx": "DOCX", "xlsx": "XLSX", "csv": "CSV", "srt": "SRT", "pdf": "PDF"}


def row(figures: dict[str, Any], name: str) -> dict[str, Any] | None:
    """Return our figure and that of the quickest peer, at the largest size that both can do."""
    own = figures.get(f"{name}/exporter", {})
    others = {
        who.partition("/")[2]: sizes
        for who, sizes in figures.items()
        if who.startswith(f"{name}/") and not who.endswith("/exporter")
    }
    both = [int(size) for sizes in others.values() for size in sizes if size in own]
    if not both:
        return None
    size = str(max(both))
    spent = {
        who: statistics.median(sizes[size]["seconds"])
        for who, sizes in others.items()
        if size in sizes
    }
    best = min(spent, key=spent.__getitem__)
    return {
        "what": f"{int(size):,} segments as {FORMATS[name]}",
        "ours": statistics.median(own[size]["seconds"]),
        "peer": best,
        "theirs": spent[best],
    }


def main() -> None:
    """Print them."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    found = (row(results["figures"], name) for name in FORMATS)
    rows = [{**each, "unit": "s", "at_least": False} for each in found if each]
    about = {name: results["about"][name] for name in ("measured", "machine", "Python")}
    print(json.dumps({"about": about, "rows": rows, "bars": results["bars"]}))


if __name__ == "__main__":
    main()
