"""The results as Markdown, for the documentation."""

from pathlib import Path

from .results import Results


def write(results: Results, path: Path) -> None:
    """Write one table of formats, one of lines, one of bars."""
    rows = [*_about(results), "", *_formats(results), "", *_lines(results), "", *_bars(results)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def _about(results: Results) -> list[str]:
    about = results.about
    where = f"{about['machine']}, Python {about['Python']}"
    load = f"load average {about['load when it began']} when the last part began"
    return [f"Measured {about['measured']} on {where}, {load}."]


def _formats(results: Results) -> list[str]:
    sizes = sorted({size for known in results.figures.values() for size in known})
    heads = "".join(f" {size:,} |" for size in sizes)
    found = [
        "CPU seconds, and MB more at the peak:", "", f"| format, who |{heads}",
        f"|---|{'---|' * len(sizes)}",
    ]  # fmt: skip
    order = sorted(results.figures, key=lambda name: (_split(name)[0], "exporter" not in name))
    for name in order:
        format, who = _split(name)
        label = f"**{format}**, exporter" if who == "exporter" else f"{format}, {who}"
        cells = "".join(f" {_cell(results, name, size)} |" for size in sizes)
        found.append(f"| {label} |{cells}")
    return found


def _cell(results: Results, name: str, size: int) -> str:
    spent, grown = results.seconds(name, size), results.memory(name, size)
    return "" if spent is None else f"{spent:.3g} s, {grown:.0f} MB"


def _lines(results: Results) -> list[str]:
    shown = [(script, results.line(script)) for script in results.lines]
    return [
        "One more line of a PDF, against a plain one:",
        "", "| script | x |", "|---|---|",
        *(f"| {script} | {ratio:.2f} |" for script, ratio in shown if ratio is not None),
    ]  # fmt: skip


def _bars(results: Results) -> list[str]:
    words = {True: "met", False: "missed", None: "not measured"}
    rows = []
    for bar in results.bars:
        value = "" if bar.measured is None else f"{bar.measured:.2f}"
        sign = "at least" if bar.at_least else "at most"
        rows.append(
            f"| {bar.what} | {sign} {bar.limit:g} {bar.unit} | {value} | {words[bar.met]} |"
        )
    return ["What is aimed at, at 100,000 segments:", "", "| what | aim | found | |",
            "|---|---|---|---|", *rows]  # fmt: skip


def _split(name: str) -> tuple[str, str]:
    format, _, who = name.partition("/")
    return format, who
