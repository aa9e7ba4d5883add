"""What each format has to reach at 100,000 segments, and on paper for each script."""

from ._common.figures import Bar
from .results import Results

_SIZE = 100_000
_ABSOLUTE = {
    "docx": (2.0, 20.0), "pdf": (25.0, 70.0), "csv": (0.5, 2.0), "json": (0.3, 2.0),
    "srt": (1.0, 2.0), "xlsx": (3.6, 6.0),
}  # fmt: skip
_LINES = {
    "Chinese": 1.5, "Japanese": 1.5, "Korean": 2.0, "Arabic": 7.0, "Hebrew": 7.0, "Devanagari": 7.0,
    "one in ten Arabic": 1.6, "one in ten Devanagari": 1.6,
}  # fmt: skip
_FASTER = 8.0
_ARCHIVE, _ARCHIVE_MEMORY = 1.1, 5.0


def judge(results: Results) -> None:
    """Note the bars with what was measured."""
    bars = results.bars
    for name, (seconds, memory) in _ABSOLUTE.items():
        ours = f"{name}/exporter"
        bars.append(Bar(f"{name}: CPU", seconds, "s", results.seconds(ours, _SIZE)))
        bars.append(Bar(f"{name}: memory", memory, "MB", results.memory(ours, _SIZE)))
    tuned, ours = (
        results.seconds(f"docx/{who}", _SIZE) for who in ("python-docx tuned", "exporter")
    )
    ratio = tuned / ours if tuned and ours else None
    bars.append(Bar("docx: faster than python-docx tuned", _FASTER, "x", ratio, at_least=True))
    for script, limit in _LINES.items():
        bars.append(Bar(f"pdf: a line of {script}", limit, "x plain", results.line(script)))
    for kind, pairs in results.archive.items():
        middle = sorted(zipped / alone for alone, zipped in pairs)
        what = f"zip of 1,000 files, {kind}"
        bars.append(Bar(what, _ARCHIVE, "x alone", middle[len(middle) // 2]))
        memory = results.memory(f"zip of {kind}/exporter", 1_000)
        bars.append(Bar(f"{what}: memory", _ARCHIVE_MEMORY, "MB", memory))
