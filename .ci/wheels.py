"""Check wheels that are installed: usage `python wheels.py PACKAGES_FOLDER WHEEL ...`.

Fails if a wheel lacks a file of its package's `src` or has one that is not there, or if one of
its modules cannot be imported, be it for a foreign library that no extra brings.
"""

import importlib
import pkgutil
import sys
import zipfile
from pathlib import Path
from types import ModuleType

# what these adapt to is the caller's own, and no extra brings it
CALLERS_OWN = {"progress_tracker.tqdm.dask", "progress_tracker.tqdm.keras"}


def different_files(wheel: Path, source: Path) -> list[str]:
    """Return what only the wheel or only the source has."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = (path for path in source.rglob("*") if path.is_file())
    there = {path.relative_to(source).as_posix() for path in files}
    return sorted(name for name in packed ^ there if "__pycache__" not in name)


def broken_modules(package: ModuleType) -> list[str]:
    """Return the modules below a package that cannot be imported, each with its reason."""
    broken = []
    for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if each.name.endswith("__main__") or each.name in CALLERS_OWN:
            continue
        try:
            importlib.import_module(each.name)
        except Exception as exc:  # noqa: BLE001  a user would meet it
            broken.append(f"{each.name}: {exc!r}")
    return broken


def main(packages: str, *wheels: str) -> str | None:
    """Return what is wrong, None if nothing is."""
    wrong = []
    for wheel in map(Path, wheels):
        name = wheel.name.partition("-")[0]
        source = (Path(packages) / name.replace("_", "-") / "src").resolve()
        wrong += [f"{wheel.name}, not alike: {file}" for file in different_files(wheel, source)]
        package = importlib.import_module(name)
        if package.__file__ is None or Path(package.__file__).is_relative_to(source):
            wrong.append(f"{name} was imported from its source, not from the wheel")
        wrong += broken_modules(package)
    return "\n".join(wrong) or None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
