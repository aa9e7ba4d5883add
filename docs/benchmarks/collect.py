"""Makes one picture of what the packages' benchmarks recorded, and says what has changed.

``nox -s bench`` runs it when it has recorded. It writes ``PACKAGE.json`` beside this file, with the
value of the run before, the plot, and the table in the README. ``--check`` writes nothing, and ends
with 1 where these do not agree with what the packages recorded.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
PACKAGES: Final = (
    "progress-tracker",
    "notify",
    "jobqueue",
    "tiered-cache",
    "exporter",
    "semsearch",
)
BEGIN, END = "<!-- benchmarks -->\n", "<!-- end of benchmarks -->\n"
IN_README: Final = 2  # rows of each package

Summary = dict[str, Any]


def recorded(dist: str) -> Summary:
    """Return what a package says of its own results."""
    script = ROOT / "packages" / dist / "benchmarks" / "headlines.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def stored(dist: str) -> Summary | None:
    """Return what was collected before."""
    path = HERE / f"{dist}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def compared(new: Summary, old: Summary | None) -> Summary:
    """Return ``new`` with the value of the run before in each row and bar that has changed."""
    for part, name in (("rows", "ours"), ("bars", "measured")):
        known = {_key(each): each for each in (old or {}).get(part, [])}
        for each in new[part]:
            before = known.get(_key(each))
            if before is None:
                continue
            same = before[name] == each[name]
            earlier = before.get("before") if same else before[name]
            if earlier is not None:
                each["before"] = earlier
    return new


def _key(each: Summary) -> tuple[str, str, str | None]:
    return each["what"], each["unit"], each.get("peer")


def changes(new: Summary, old: Summary | None) -> Iterator[str]:
    """Yield a line for each bar whose figure is another than in the run before."""
    known = {_key(each): each["measured"] for each in (old or {}).get("bars", [])}
    for each in new["bars"]:
        before, now = known.get(_key(each)), each["measured"]
        if before and now and before != now:
            better = (now > before) == each["at_least"]
            percent = 100 * (now / before - 1)
            verdict = "better" if better else "worse"
            what = f"{each['what']}, {each['unit']}"
            yield f"  {what:60} {before:12,.4g} -> {now:12,.4g}  {percent:+6.1f} %  {verdict}"


def times(row: Summary) -> float:
    """Return how many times better we are than the peer."""
    ratio = row["ours"] / row["theirs"]
    return float(ratio if row["at_least"] else 1 / ratio)


def table(summaries: dict[str, Summary]) -> str:
    """Return the README's table."""
    lines = ["| package | measured | ours | best peer | |", "|---|---|---:|---:|---:|"]
    for dist, summary in summaries.items():
        for row in summary["rows"][:IN_README]:
            own, other = (f"{figure(row[who])} {row['unit']}".strip() for who in ("ours", "theirs"))
            cells = (
                dist,
                row["what"],
                own,
                f"{row['peer']}: {other}",
                f"**{short(times(row))} x**",
            )
            lines.append(f"| {' | '.join(cells)} |")
    about = next(iter(summaries.values()))["about"]
    dates = [each["about"]["measured"] for each in summaries.values()]
    days = " to ".join(sorted({min(dates), max(dates)}))
    where = f"on a virtual machine of {about['machine'].partition(',')[0]}"
    told = f"Measured {days} {where}, Python {about['Python']}; peers in the same run, tuned as"
    lines += ["", f"{told} they advise. More than 1 means that we are better."]
    return "\n".join(lines) + "\n"


def short(ratio: float) -> str:
    """Return a ratio with two digits that count."""
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2g}"


def figure(value: float) -> str:
    """Return a number with three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def with_table(readme: str, text: str) -> str:
    """Return the README with the table between its marks."""
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{text}\n{END}{tail}"


def draw(summaries: dict[str, Summary], path: Path) -> None:
    """Draw how many times better than the best peer each row is."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    rows = [(dist, row) for dist, each in summaries.items() for row in each["rows"]][::-1]
    names = [f"{row['what']}  (to {row['peer']})" for _, row in rows]
    ink = "#768390"  # as far from white as from black
    look = {"svg.fonttype": "none", "svg.hashsalt": "all", "text.color": ink, "xtick.color": ink,
            "ytick.color": ink, "axes.labelcolor": ink, "axes.edgecolor": ink,
            "axes.spines.top": False, "axes.spines.right": False}  # fmt: skip
    colours = dict(zip(PACKAGES, plt.get_cmap("tab10").colors, strict=False))
    with mpl.rc_context(look):
        sheet, axes = plt.subplots(figsize=(10, 0.3 * len(rows) + 1), layout="constrained")
        ratios = [times(row) for _, row in rows]
        bars = axes.barh(names, [ratio - 1 for ratio in ratios], left=1)
        for bar, ratio, (dist, _) in zip(bars, ratios, rows, strict=True):
            bar.set_color(colours[dist])
            place = (max(ratio, 1) * 1.05, bar.get_y() + bar.get_height() / 2)
            axes.annotate(short(ratio), place, va="center", fontsize=8)
        marks = [plt.Rectangle((0, 0), 1, 1, color=colours[dist]) for dist in PACKAGES]
        axes.legend(marks, PACKAGES, frameon=False, fontsize=8, labelcolor=ink, loc="upper right")
        axes.axvline(1, color=ink, linewidth=1)
        axes.set(xscale="log", xlabel="times better than the best peer")
        axes.tick_params(axis="y", labelsize=8)
        sheet.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
        plt.close(sheet)


def main() -> int:
    """Collect, compare and write; or check that nothing is to be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether all is written")
    check = parser.parse_args().check
    before = {dist: stored(dist) for dist in PACKAGES}
    summaries = {dist: compared(recorded(dist), before[dist]) for dist in PACKAGES}
    readme = ROOT / "README.md"
    text = with_table(readme.read_text(encoding="utf-8"), table(summaries))
    if check:
        stale = [dist for dist in PACKAGES if summaries[dist] != before[dist]]
        stale += ["README.md"] * (text != readme.read_text(encoding="utf-8"))
        if stale:
            print(f"python docs/benchmarks/collect.py has something to write: {', '.join(stale)}")
        return 1 if stale else 0
    for dist, summary in summaries.items():
        print(dist, *changes(summary, before[dist]), sep="\n")
        path = HERE / f"{dist}.json"
        path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    readme.write_text(text, encoding="utf-8")
    draw(summaries, HERE / "ratios.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
