"""System calls that fail, or kill the process, at the k-th time: by strace, on real files."""

import asyncio
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from exporter import ExportJob, ExportService, ExportSource, ExportStatus, Settings
from exporter._common.clock import SystemClock
from exporter.adapters.storages.local import LocalStorage

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
pytest.importorskip("sqlalchemy")

KILLED = 137
BLOCKS = 4
CHILD = textwrap.dedent("""
    import asyncio, sys
    from exporter import ExportService, Settings, ExportSource

    def load(id):
        return ({"a": f"{n:08} " + "x" * 91} for n in range(6_000))

    async def main():
        service = ExportService(Settings.from_mapping({
            "storage": {"url": sys.argv[1]}, "history": {"url": sys.argv[2]},
            "jobs": {"lease": 1800},
        }))
        service.source("big")(load)
        async with service:
            job = await service.export(ExportSource("big", "1"), sys.argv[3])
            job = await service.wait(job.id)
        return {"completed": 0, "failed": 3}[job.status]

    sys.exit(asyncio.run(main()))
""")


class Later(SystemClock):
    """A clock by which every lease of the process before has run out."""

    def time(self) -> float:
        return super().time() + 3600


@pytest.fixture(scope="module")
def strace() -> str:
    found = shutil.which("strace")
    reason = "no strace: install it"
    if found is not None:
        probe = [found, "-o", os.devnull, "-e", "trace=exit", "true"]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return found
        reason = "strace may not trace here"
    if os.environ.get("REQUIRE_SERVICES"):
        pytest.fail(reason)
    pytest.skip(reason)


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def settings(tmp_path: Path) -> Settings:
    return Settings.from_mapping({
        "storage": {"url": f"file://{tmp_path}/e"},
        "history": {"url": f"sqlite:///{tmp_path}/h.db"},
        # what is started again is not cleaned up before we have looked
        "cleanup": {"enabled": False},
    })  # fmt: skip


async def _earlier(tmp_path: Path) -> ExportJob:
    async with ExportService(settings(tmp_path)) as service:
        job = await service.export(ExportSource("custom", "1", {"rows": [{"a": 1}]}), "csv")
        return await service.wait(job.id, 60)


def child(strace: str, tmp_path: Path, fault: str, format: str) -> tuple[int, int]:
    """Run an export under ``fault``; return its exit code and how often a call was tampered with.

    Calls are counted for each thread: the one that renders writes to nothing but the file.
    """
    log = tmp_path / "strace.log"
    where = [f"file://{tmp_path}/e", f"sqlite:///{tmp_path}/h.db", format]
    how = [
        "-f",
        "-qq",
        "-o",
        log,
        "-e",
        f"trace={fault.partition(':')[0]}",
        "-e",
        f"inject={fault}",
    ]
    # much faster, but strace 6.1 then forgets about signals after the first
    quick = [] if "signal" in fault else ["--seccomp-bpf"]
    done = subprocess.run(
        [strace, *quick, *how, sys.executable, "-c", CHILD, *where],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    code = done.returncode
    assert code in {0, 3, KILLED, -9}, done.stderr
    return (KILLED if code == -9 else code), log.read_text().count("(INJECTED)")


@pytest.mark.parametrize(
    ("format", "fault"),
    [
        *(("csv", f"write:error=EIO:when={k}") for k in (1, 2, BLOCKS)),
        ("csv", "write:error=ENOSPC:when=2"),
        ("csv", "write:error=EDQUOT:when=3+"),
        ("csv", "fsync:error=EIO:when=1"),
        ("csv", "fsync:error=EIO:when=2"),
        ("csv", "fsync:error=EIO:when=3"),
        ("csv", "rename,renameat,renameat2:error=EIO:when=1"),
        ("csv", "mkdir,mkdirat:error=ENOSPC:when=1+"),
        ("docx", "write:error=EIO:when=1"),  # compressed, it is one block
        ("docx", "fsync:error=EIO:when=2"),
    ],
)
def test_calls_that_fail(strace: str, tmp_path: Path, fault: str, format: str) -> None:
    """The export fails and says why, nothing is left of it, earlier files are as they were."""
    if format == "docx":
        pytest.importorskip("docx")
    earlier = asyncio.run(_earlier(tmp_path))
    before = files(tmp_path / "e")
    code, injected = child(strace, tmp_path, fault, format)
    assert (code, injected >= 1) == (3, True)
    assert files(tmp_path / "e") == before

    async def look() -> None:
        async with ExportService(settings(tmp_path)) as service:
            assert await service.download(earlier.id) == b"a\r\n1\r\n"
            [failed] = await service.list_exports(status="failed")
            assert failed.error is not None
            assert failed.error.startswith("StorageError: ")
            assert failed.file_path is None
            await _again(service, failed.id)

    asyncio.run(look())


@pytest.mark.parametrize(
    "fault",
    [
        *(f"write:signal=KILL:when={k}" for k in (1, BLOCKS)),
        "fsync:signal=KILL:when=1",
        "rename,renameat,renameat2:signal=KILL:when=1",
        "fsync:signal=KILL:when=2",
    ],
)
def test_killed_at_a_call(strace: str, tmp_path: Path, fault: str) -> None:
    """The next start finds no half file, clears up, and the export can be run again."""
    earlier = asyncio.run(_earlier(tmp_path))
    before = files(tmp_path / "e")
    code, _ = child(strace, tmp_path, fault, "csv")
    assert code == KILLED

    async def look() -> None:
        async with ExportService(settings(tmp_path)) as service:
            # a service of the next start, while the lease lasts
            [killed] = await service.list_exports(status="processing")
            assert killed.file_path is None
        async with ExportService(settings(tmp_path), clock=Later()) as service:
            # whole or not there, also where it was killed just after the rename
            visible = {key: data for key, data in files(tmp_path / "e").items() if key[0] != "."}
            for key, data in visible.items():
                assert before.get(key) == data or data == _whole()
            await service.cleanup()
            assert files(tmp_path / "e") == before
            job = await service.get_job(killed.id)
            assert job is not None
            assert job.status is ExportStatus.FAILED
            assert job.error == "ExportError: the process that ran the export is gone"
            assert await service.download(earlier.id) == b"a\r\n1\r\n"
            await _again(service, killed.id)

    asyncio.run(look())


async def _again(service: ExportService, job_id: str) -> None:
    """Retried without faults, it is what it should have been."""
    service.source("big")(lambda _id: ({"a": row} for row in _rows()))
    await service.retry(job_id)
    job = await service.wait(job_id, 60)
    assert (job.status, job.attempts) == (ExportStatus.COMPLETED, 2)
    if job.format == "csv":
        assert await service.download(job_id) == _whole()


def _rows() -> list[str]:
    return [f"{n:08} " + "x" * 91 for n in range(6_000)]


def _whole() -> bytes:
    return "".join(f"{row}\r\n" for row in ["a", *_rows()]).encode()


def test_without_a_fault(strace: str, tmp_path: Path) -> None:
    """What the others inject into: as many writes as they count on."""
    assert child(strace, tmp_path, f"write:error=EIO:when={BLOCKS + 2}", "csv") == (0, 0)
    code, injected = child(strace, tmp_path, f"write:error=EIO:when={BLOCKS + 1}", "csv")
    assert (code, injected) == (3, 1)
    assert asyncio.run(LocalStorage(tmp_path / "e").sweep()) == 0
