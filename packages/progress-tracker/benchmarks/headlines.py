"""The recorded results in short, as JSON: a few figures beside the best peer, and all bars."""

from pathlib import Path

from harness._common.headlines import tell

DOCS = Path(__file__).parents[3] / "docs" / "progress-tracker" / "explanation" / "benchmarks"
ROWS = (
    ("loop", "an item of a loop"),
    ("update", "an update by one"),
    ("write-Redis", "a stored write, Redis"),
    ("fan-out-1000", "one update to 1,000 sockets"),
    ("fan-out-5000", "one update to 5,000 sockets"),
)

if __name__ == "__main__":
    tell(DOCS / "results.json", ROWS)
