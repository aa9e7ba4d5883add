"""The guides name ports, suites, entry points and schemes of URLs that are there."""

import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
GUIDE = DOCS / "write-your-own-adapter.md"
ROW = re.compile(r"^\| ([\w-]*) ?\| `(\w+)` \| `(\w+)` \| `([\w.]+)` \| .+ \|$", re.MULTILINE)


def rows() -> list[tuple[str, str, str, str]]:
    found: list[tuple[str, str, str, str]] = []
    for package, port, suite, group in ROW.findall(GUIDE.read_text(encoding="utf-8")):
        found.append(((package or found[-1][0]).replace("-", "_"), port, suite, group))
    return found


def test_every_package_is_there() -> None:
    assert len({package for package, *_ in rows()}) == 6


@pytest.mark.parametrize(("package", "port", "suite", "group"), rows())
def test_a_row(package: str, port: str, suite: str, group: str) -> None:
    assert hasattr(importlib.import_module(f"{package}.ports"), port)
    assert hasattr(importlib.import_module(f"{package}.testing"), suite)
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
