"""``studio demo`` as a newcomer runs it, and with its worker killed in the middle."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from transcript_studio.profile import Profile

pytestmark = pytest.mark.slow


async def demo(profile: Profile) -> asyncio.subprocess.Process:
    command = [sys.executable, "-u", "-m", "transcript_studio", "demo"]
    return await asyncio.create_subprocess_exec(
        *command,
        "--keep",
        str(profile.folder),
        env={**os.environ, **profile.environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def test_the_demo_checks_everything(profile: Profile) -> None:
    process = await demo(profile)
    async with asyncio.timeout(500):
        out, _ = await process.communicate()
    text = out.decode()
    assert process.returncode == 0, text
    assert "All checks passed" in text
    assert "FAILED" not in text
    assert len(list((profile.folder / "exports").rglob("*.pdf"))) >= 2


async def test_a_killed_worker_does_not_stop_it(tmp_path: Path) -> None:
    process = await demo(Profile.embedded(tmp_path / "data"))
    assert process.stdout is not None
    seen: list[str] = []
    killed = False
    async with asyncio.timeout(240):
        async for raw in process.stdout:
            seen.append(raw.decode())
            share = re.search(r"product meeting: processing (\d+)%", seen[-1])
            if not killed and share and int(share[1]) >= 20:
                found = re.search(r"worker process\s+(\d+)", " ".join("".join(seen).split()))
                assert found is not None
                os.kill(int(found[1]), signal.SIGKILL)
                killed = True
        await process.wait()
    text = "".join(seen)
    assert killed, text
    assert process.returncode == 0, text
    assert "the worker died 1 time(s) and was replaced" in text


def test_an_unknown_command_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    from transcript_studio.cli import main

    with pytest.raises(SystemExit):
        main(["dance"])
    assert "invalid choice" in capsys.readouterr().err
