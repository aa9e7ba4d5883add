"""Fuzzed names: whatever is asked for, nothing is written outside the folder."""

import asyncio
import random
from pathlib import Path

from exporter import ExportError, ExportService, ExportSource
from exporter.adapters.storages.local import LocalStorage
from exporter.filenames import check_filename, check_key

PARTS = [
    "..",
    ".",
    "/",
    "\\",
    "\0",
    "\r",
    "\n",
    "%2e%2e",
    "%2f",
    "..%c0%af",
    "con",
    "aux",
    "nul.txt",
    "a",
    "é",
    "e\u0301",
    "今",
    "😀",
    "\u202e",
    "\ud800",
    "~",
    "$HOME",
    "C:",
    ":",
    "*",
    "?",
    "<",
    "|",
    '"',
    " ",
    ".",
    "\u2215",
    "\uff0f",
    "\u2024\u2024",
    "x" * 60,
    "\ufeff",
    "-",
    "--",
    "\t",
    "file:",
    "\\\\host\\share",
    "LPT1",
    ".unfinished",
    "\x7f",
]


def names(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices(PARTS, k=rng.randint(1, 6))) for _ in range(count)]


def test_50_000_names_stay_inside(tmp_path: Path) -> None:
    accepted = 0
    root = (tmp_path / "root").resolve()
    for name in names(50_000, seed=7):
        for check in (check_filename, lambda text: check_key(f"job/{text}")):
            try:
                check(name)
            except ExportError:
                continue
            accepted += 1
            path = root.joinpath("job", *name.split("/"))
            assert path.resolve().is_relative_to(root / "job")
            assert ".." not in path.parts
    assert accepted > 1000


def test_files_written_under_fuzzed_names(tmp_path: Path) -> None:
    root = tmp_path / "root"
    before = set(tmp_path.rglob("*"))

    async def main() -> int:
        done = 0
        async with ExportService(storage=LocalStorage(root)) as service:
            for name in names(300, seed=11):
                try:
                    job = await service.export(
                        ExportSource("custom", "1", {"rows": []}), "csv", filename=name
                    )
                except ExportError:
                    continue
                found = await service.wait(job.id, 60)
                assert found.file_path is not None, found.error
                assert Path(found.file_path).is_relative_to(root)
                done += 1
        return done

    assert asyncio.run(main()) > 20
    outside = {path for path in set(tmp_path.rglob("*")) - before if not path.is_relative_to(root)}
    assert not outside


def test_ids_of_sources_make_no_paths(tmp_path: Path) -> None:
    async def main() -> None:
        async with ExportService(storage=LocalStorage(tmp_path / "r")) as service:
            for name in names(200, seed=13):
                try:
                    job = await service.export(ExportSource("custom", name, {"rows": []}), "csv")
                except ExportError:
                    continue
                assert (await service.wait(job.id, 60)).status == "completed"

    asyncio.run(main())
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
