"""The recorded results in short, as JSON: a few figures beside the best peer, and all bars."""

from pathlib import Path

from harness._common.headlines import tell

DOCS = Path(__file__).parents[3] / "docs" / "notify" / "explanation" / "benchmarks"
ROWS = (
    ("fan-out-1000", "one message to 1,000 sockets"),
    ("fan-out-5000", "one message to 5,000 sockets"),
    ("http", "messages to one HTTP provider"),
    ("smtp", "mails to a local sink"),
)

if __name__ == "__main__":
    tell(DOCS / "results.json", ROWS)
