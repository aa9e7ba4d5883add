"""The page of all benchmarks, made from what was collected."""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from jobqueue_pages import Page, Row
from sphinx.application import Sphinx

COLLECTED = Path(__file__).parents[1] / "benchmarks"


def figure(value: float | None) -> str:
    """Return a number with three digits that count."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


class PeersDirective(Page):
    """One package beside its best peers."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table and where it was measured."""
        summary = collected(self, self.arguments[0])
        about = summary["about"]
        where = f"Measured {about['measured']} on {about['machine']}, Python {about['Python']}."
        rows = [
            (each["what"], f"{figure(each['ours'])} {each['unit']}", each["peer"],
             f"{figure(each['theirs'])} {each['unit']}", figure(each.get("before")))
            for each in summary["rows"]
        ]  # fmt: skip
        head = ("what", "ours", "best peer", "theirs", "ours, the run before")
        return [*self.parse_text_to_nodes(where), *self.table(*compared(head, rows))]


class BarsDirective(Page):
    """What one package aims at, and what was reached."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        rows = [
            (each["what"], aim(each), figure(each["measured"]),
             "met" if each["met"] else "**missed**", figure(each.get("before")))
            for each in collected(self, self.arguments[0])["bars"]
        ]  # fmt: skip
        return self.table(*compared(("what", "aim", "measured", "", "the run before"), rows))


def compared(head: Row, rows: list[Row]) -> tuple[Row, list[Row]]:
    """Leave out the last column, of the run before, where nothing has changed since."""
    if any(row[-1] for row in rows):
        return head, rows
    return head[:-1], [row[:-1] for row in rows]


def aim(bar: dict[str, Any]) -> str:
    """Return what was to be reached."""
    return f"at {'least' if bar['at_least'] else 'most'} {bar['limit']:,g} {bar['unit']}"


def collected(page: Page, dist: str) -> dict[str, Any]:
    """Return what was collected of a package."""
    path = COLLECTED / f"{dist}.json"
    page.env.note_dependency(str(path))
    return dict(json.loads(path.read_text(encoding="utf-8")))


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives."""
    app.add_directive("all-benchmarks-peers", PeersDirective)
    app.add_directive("all-benchmarks-bars", BarsDirective)
    return {"parallel_read_safe": True}
