"""The guides name ports, suites, entry points and schemes of URLs that are there."""

import ast
import importlib
import re
from itertools import pairwise
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
GUIDE = DOCS / "write-your-own-adapter.md"
ROW = re.compile(r"^\| ([\w-]*) ?\| `(\w+)` \| `([\w.]+)` \| .+ \|$", re.MULTILINE)


def rows() -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    for package, port, group in ROW.findall(GUIDE.read_text(encoding="utf-8")):
        found.append(((package or found[-1][0]).replace("-", "_"), port, group))
    return found


def test_every_package_is_there() -> None:
    assert len({package for package, *_ in rows()}) == 6


@pytest.mark.parametrize(("package", "port", "group"), rows())
def test_a_row(package: str, port: str, group: str) -> None:
    assert hasattr(importlib.import_module(f"{package}.ports"), port)
    assert hasattr(importlib.import_module(f"{package}.testing"), f"{port}Suite")
    assert (
        f'"{group}"'
        in Path(str(importlib.import_module(f"{package}.registry").__file__)).read_text()
    )


CHOICE = re.compile(r"^\| ([\w-]+)(?:, [\w ]+)? \| (`.+) \|$", re.MULTILINE)


def choices() -> list[tuple[str, str]]:
    text = (DOCS / "choose-an-adapter.md").read_text(encoding="utf-8")
    return [
        (package.replace("-", "_"), name)
        for package, cells in CHOICE.findall(text)
        for name in re.findall(r"`([\w+]+)(?::///?)?`", cells)
    ]


def test_every_package_can_be_chosen_for() -> None:
    assert len({package for package, _ in choices()}) == 6


@pytest.mark.parametrize(("package", "name"), choices())
def test_a_choice(package: str, name: str) -> None:
    registry = Path(str(importlib.import_module(f"{package}.registry").__file__)).read_text()
    known = {f'"{name}"', f'"{name.partition("+")[0]}"'}
    assert any(each in registry for each in known)


TAKEN = re.compile(r"""pip install ["']?(?:notify|exporter|progress-tracker)\b(?![^\n]* @ git\+)""")


def test_no_page_installs_what_belongs_to_others() -> None:
    pages = [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]
    assert not [page.name for page in pages if TAKEN.search(page.read_text(encoding="utf-8"))]


PASTED = [
    page.parent for page in DOCS.glob("*/tutorial/index.md") if "-m asyncio" in page.read_text()
]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
FIRST_LINES = (
    ast.Import,
    ast.ImportFrom,
    ast.Assign,
    ast.AnnAssign,
    ast.Expr,
    ast.Assert,
    ast.Delete,
)


@pytest.mark.parametrize(
    "page", [page for folder in PASTED for page in sorted(folder.glob("*.md"))]
)
def test_what_is_pasted_is_understood(page: Path) -> None:
    """Up to Python 3.12 the prompt ends a block at an empty line, and only there."""
    for code in BLOCK.findall(page.read_text(encoding="utf-8")):
        lines = code.splitlines()
        tree = compile(code, page, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for each, after in pairwise(tree.body):
            if not isinstance(each, FIRST_LINES):
                assert not all(lines[each.end_lineno : _first_line(after)]), code
                assert all(lines[each.lineno - 1 : each.end_lineno]), code


def _first_line(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min(each.lineno for each in (node, *decorators)) - 1
