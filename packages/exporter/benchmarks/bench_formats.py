"""CPU seconds and growth of peak memory of each format, beside writing the same text as lines.

``python bench_formats.py [segments]``; medians of five interleaved runs, each in its own process.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

FORMATS = ("txt", "json", "jsonl", "csv", "srt", "vtt", "html", "md", "docx", "pdf")
WORDS = "the quick brown fox jumps over the lazy dog and says what everybody knew".split()  # noqa: SIM905


def segments(count):
    from exporter import Segment

    for n in range(count):
        text = " ".join(WORDS[(n * 7 + k) % len(WORDS)] for k in range(6 + n % 15))
        yield Segment(text, n * 3.0, n * 3.0 + 2.5, f"Speaker {n // 4 % 3}")


def floor(count):
    """Return the CPU seconds of writing start, end and text as plain lines."""
    begun = time.process_time()
    with Path(os.devnull).open("wb") as file:
        file.writelines(
            f"{segment.start} {segment.end} {segment.text}\n".encode()
            for segment in segments(count)
        )
    return time.process_time() - begun


def measure(name, count):
    """Print CPU seconds and MB of peak memory for one format, as JSON."""
    from exporter import Document
    from exporter.registry import FORMATS as KNOWN
    from exporter.testing import render

    renderer = KNOWN.load(name)
    made = datetime(2026, 1, 1, tzinfo=UTC)
    render(renderer, Document("Warm", "transcript", segments(200), created_at=made))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    data, _, _ = render(renderer, Document("Talk", "transcript", segments(count), created_at=made))
    spent = time.process_time() - begun
    # the bytes themselves are held by this script
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps([spent, max(0.0, grown - len(data) / 2**20), len(data), floor(count)]))


def main(count):
    found = {name: [] for name in FORMATS}
    for _ in range(5):
        for name in FORMATS:
            run = subprocess.run(
                [sys.executable, __file__, str(count), name], capture_output=True, check=True
            )
            found[name].append(json.loads(run.stdout))
    print(f"{count} segments | CPU s (spread) | x plain lines | MB grown | file kB")
    for name, runs in found.items():
        spent = [run[0] for run in runs]
        median, base = statistics.median(spent), statistics.median(run[3] for run in runs)
        print(
            f"{name:6} | {median:6.3f} ({min(spent):.3f}-{max(spent):.3f}) | "
            f"{median / base:6.1f} | "
            f"{statistics.median(run[1] for run in runs):5.1f} | {runs[0][2] // 1000}"
        )


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    if len(sys.argv) > 2:
        measure(sys.argv[2], wanted)
    else:
        main(wanted)
