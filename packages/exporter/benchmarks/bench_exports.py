"""Every format beside other libraries: CPU seconds and growth of peak memory, over size.

    python bench_exports.py                     all of it, some twenty minutes
    python bench_exports.py --quick             one round, 1,000 and 10,000 segments
    python bench_exports.py --formats csv docx  only these; --lines and --archive are parts as well
    python bench_exports.py --record            also JSON and plots for the documentation; what an
                                                earlier run stored and this one leaves out is kept

Each contender runs in a fresh process each time, in turn; a size that would take a contender over a
minute of CPU is left out.
"""

import argparse
from pathlib import Path

from harness import ours, peers
from harness.bars import judge
from harness.results import Results, machine

FIGURES = Path(__file__).parents[3] / "docs" / "exporter" / "explanation" / "figures"
SIZES = (1_000, 10_000, 100_000)
MILLION = 1_000_000
HELD = {"pdf"}  # keeps its compressed pages until the end
LINES = ("plain", "plain, by ReportLab", "Chinese", "Japanese", "Korean", "Arabic", "Hebrew",
         "Devanagari", "one in ten Arabic", "one in ten Devanagari", "new words of Arabic",
         "new words of Hebrew", "new words of Devanagari")  # fmt: skip


def main() -> None:
    """Measure, print, and store if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--formats", nargs="*", help="only these formats")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("--million", action="store_true", help="our formats with a million, once")
    parser.add_argument("--lines", action="store_true", help="a PDF's lines by script")
    parser.add_argument("--archive", action="store_true", help="the ZIP of 1,000 files")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    rounds, sizes = (1, [1_000, 10_000]) if given.quick else (given.rounds, given.sizes)
    results = Results(about=machine())
    if given.record:
        results.recall(FIGURES / "results.json")
    parts = given.formats is not None or given.lines or given.archive  # else: everything
    if given.formats is not None or not parts:
        wanted = list(ours.FORMATS) if given.formats is None else given.formats
        formats(results, wanted, sizes, rounds, million=given.million)
    for _ in range(rounds if given.lines or not parts else 0):
        for script in LINES:
            results.lines.setdefault(script, []).append(ours.line_costs(script, 2_000))
    for _ in range(rounds if given.archive or not parts else 0):
        for kind in ours.ARCHIVES:
            results.archive.setdefault(kind, []).append(ours.archive(kind, 1_000))
        for name in ours.archives():
            results.run(name, 1_000)
    results.fill()
    judge(results)
    show(results)
    if given.record:
        from harness import tables
        from harness.drawing import draw

        results.save(FIGURES / "results.json")
        tables.write(results, FIGURES / "tables.txt")
        draw(results, FIGURES)


def formats(
    results: Results, wanted: list[str], sizes: list[int], rounds: int, *, million: bool
) -> None:
    """Run all contenders of the wanted formats, sizes from small to large, rounds interleaved."""
    names = [
        name for name in {**ours.contenders(), **peers.contenders()} if _format(name) in wanted
    ]
    for size in sorted(sizes):
        for _ in range(rounds):
            for name in names:
                results.run(name, size)
    if million:
        for name in ours.contenders():
            if _format(name) in wanted and _format(name) not in HELD:
                results.run(name, MILLION)


def _format(name: str) -> str:
    return name.partition("/")[0]


def show(results: Results) -> None:
    """Print the tables: seconds and MB of each size, ratios to this package, bars."""
    print(results.about)
    sizes = sorted({size for known in results.figures.values() for size in known})
    for name in sorted(results.figures, key=lambda each: (_format(each), "exporter" not in each)):
        cells = []
        for size in sizes:
            spent, grown = results.seconds(name, size), results.memory(name, size)
            mine = results.seconds(f"{_format(name)}/exporter", size)
            ratio = f"{spent / mine:5.1f}x" if spent and mine else ""
            cells.append("-" if spent is None else f"{spent:8.3f} s {grown:7.1f} MB {ratio}")
        print(f"{name:28} " + " | ".join(f"{cell:28}" for cell in cells))
    for script, values in results.lines.items():
        spread = f"{min(values):.0f} to {max(values):.0f}"
        print(f"a line of {script:24} {spread:>14} us  {results.line(script):.2f} x plain")
    for kind, pairs in results.archive.items():
        for alone, zipped in pairs:
            ratio = f"in a ZIP {zipped:.2f} s: {zipped / alone:.3f} x"
            print(f"1,000 files, {kind}: alone {alone:.2f} s, {ratio}")
    for bar in results.bars:
        sign, found = ">=" if bar.at_least else "<=", bar.measured
        verdict = {None: "not measured", True: "met", False: "MISSED"}[bar.met]
        value = "-" if found is None else f"{found:.2f}"
        print(f"{bar.what:40} {value:>8} {bar.unit:8} {sign} {bar.limit:<6} {verdict}")


if __name__ == "__main__":
    main()
