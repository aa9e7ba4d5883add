"""Check what a package's import does: usage `python imports.py DISTRIBUTION [ABSENT_MODULE ...]`.

Fails if one of its public names or its blocking facade loads a library that only an extra
requires, or if one of the modules that must be absent can be found.
"""

import importlib
import importlib.util
import re
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires


def normal(name: str) -> str:
    """Return the name of a distribution as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(dist: str, *, optional: bool) -> set[str]:
    """Return what a distribution requires, either for its extras or always."""
    try:
        lines = requires(dist) or []
    except PackageNotFoundError:  # behind a marker that does not hold here
        return set()
    return {
        normal(re.split(r"[^\w.-]", line, maxsplit=1)[0])
        for line in lines
        if bool(re.search(r"\bextra\s*==", line)) is optional
    }


def base_installation(dist: str) -> set[str]:
    """Return the distributions that a plain installation brings, itself included."""
    found: set[str] = set()
    waiting = {normal(dist)}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= requirements(name, optional=False) - found
    return found


def loaded_by_import(module: str) -> set[str]:
    """Use all public names of a package and return the top-level modules that came with them."""
    before = set(sys.modules)
    package = importlib.import_module(module)
    for name in (*package.__all__, "sync"):
        getattr(package, name)
    return {name.partition(".")[0] for name in set(sys.modules) - before}


def main(dist: str, *absent: str) -> str | None:
    """Return what is wrong, None if nothing is."""
    present = [name for name in absent if importlib.util.find_spec(name)]
    if present:
        return f"{dist}: must not be installed beside it: {present}"
    optional = requirements(dist, optional=True) - base_installation(dist)
    loaded = loaded_by_import(dist.replace("-", "_"))
    owners = packages_distributions()
    foreign = {name for name in loaded if optional.intersection(map(normal, owners.get(name, ())))}
    return f"{dist}: its import loads {sorted(foreign)}" if foreign else None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
