"""The report of a soak: Markdown, and the memory as a picture."""

import argparse
import os
from pathlib import Path

from ledger import Ledger
from memory import Memory

from faults import Faults

_WRONG = "What did not hold:"
_RIGHT = (
    "Each acknowledged upload has ended, says its last acknowledged text in file, cache, index and "
    "export, and was told to its user once."
)
_WIDTH, _HEIGHT, _LEFT, _FOOT = 760, 260, 56, 24


def write(
    arguments: argparse.Namespace,
    ledger: Ledger,
    faults: Faults,
    memory: Memory,
    wrong: list[str],
    loaded: float,
    taken: float,
) -> Path:
    """Write the report into the folder and return its file."""
    (arguments.out / "memory.svg").write_text(_plot(memory), encoding="utf-8")
    edits = sum(each.edits for each in ledger.uploads)
    rows = [
        ("minutes of load and faults", f"{loaded / 60:.1f}"),
        ("minutes until the ledger was checked", f"{taken / 60:.1f}"),
        ("seed, users, cores", f"{arguments.seed}, {arguments.users}, {os.cpu_count()}"),
        ("actions of users", ledger.reads),
        ("uploads acknowledged", len(ledger.uploads)),
        ("edits acknowledged", edits),
        ("processes whose memory was judged", len(memory.judged())),
        ("what did not hold", len(wrong)),
    ]
    growth = memory.growth()
    lines = [
        "# Soak of the transcript studio on servers",
        "",
        "Two web processes and three Celery workers on Redis, PostgreSQL and RabbitMQ.",
        "",
        _table(("what", "how many"), rows),
        "",
        _table(("fault", "times"), sorted(faults.done.items())),
        "",
        _table(("answer that users had to repeat", "times"), sorted(ledger.refused.items())),
        "",
        _WRONG if wrong else _RIGHT,
        *[f"- {each}" for each in wrong[:100]],
        "",
        "![Memory of the processes](memory.svg)",
        "",
        _table(
            ("process that lived long enough", "last quarter to first"),
            [(name, f"{value:.2f}") for name, value in growth.items()],
        ),
        "",
    ]
    file = arguments.out / "report.md"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def _table(head: tuple[str, str], rows: list[tuple[str, object]]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---:|"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in rows)])


def _plot(memory: Memory) -> str:
    points = [point for samples in memory.samples.values() for point in samples]
    longest = max((at for at, _ in points), default=1.0) or 1.0
    most = max((size for _, size in points), default=1.0) * 1.1

    def line(name: str, samples: list[tuple[float, float]]) -> str:
        colour = "#2457c5" if name.startswith("web") else "#1d7a46"
        spots = " ".join(
            f"{_LEFT + at / longest * (_WIDTH - _LEFT - 8):.1f},"
            f"{(_HEIGHT - _FOOT) * (1 - size / most):.1f}"
            for at, size in samples
        )
        return f'<polyline fill="none" stroke="{colour}" points="{spots}"/>'

    drawn = [line(name, samples) for name, samples in memory.samples.items()]
    marks = [
        _text(4, (_HEIGHT - _FOOT) * (1 - share) + 4, f"{most * share:.0f} MiB")
        for share in (0.25, 0.5, 0.75, 0.95)
    ]
    about = f"0 to {longest / 60:.1f} min; web processes blue, workers green"
    foot = _text(_LEFT, _HEIGHT - 6, about)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="11" fill="#5d6b7c">'
        f"{''.join(drawn)}{''.join(marks)}{foot}</svg>\n"
    )


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}">{text}</text>'
