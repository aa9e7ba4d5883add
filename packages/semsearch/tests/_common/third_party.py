"""A distribution of somebody else, as pip would leave it."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest


@contextmanager
def installed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, code: str, points: Mapping[str, str]
) -> Iterator[Path]:
    """Give the folder of one that has one module.

    Args:
        folder: An empty folder.
        monkeypatch: Puts it on the path.
        code: The module.
        points: Entry points, as ``{"group/name": "Class"}``.
    """
    info = folder / "third_party-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "third_party.py").write_text(dedent(code))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    lines = []
    for name, target in points.items():
        group, _, point = name.partition("/")
        lines.append(f"[{group}]\n{point} = third_party:{target}\n")
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(folder))
    try:
        yield folder
    finally:
        sys.modules.pop("third_party", None)
