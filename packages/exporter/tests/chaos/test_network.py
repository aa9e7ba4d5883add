"""Text of users makes no format reach for the network or for files: counted by strace."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from exporter.registry import FORMATS

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

LURES = [
    '<img src="{url}a.png"/><img src="{file}">',
    '<link rel="stylesheet" href="{url}b.css"><script src="{url}c.js"></script>',
    '<font face="{file}">x</font><a href="{url}d">y</a><para><img src="{url}e" /></para>',
    "![f]({url}f.png) [g]({url}g) <{url}h>",
    '=WEBSERVICE("{url}i")',
    '=IMAGE("{url}j")',
    '=HYPERLINK("{url}k";"k")',
    "@import url({url}l); background: url({url}m)",
    '<!DOCTYPE x [<!ENTITY e SYSTEM "{file}">]><x>&e;</x>',
    'INCLUDEPICTURE "{url}n" \\\\d',
    "{{{{ lipsum.__globals__['os'].popen('curl {url}o').read() }}}}",
    "{{% include '{file}' %}}",
    "file://{file}",
    "{url}p",
]
CHILD = textwrap.dedent("""
    import asyncio, json, sys
    from exporter import Document, ExportService, Section, Segment, Table

    lures, formats, folder = json.loads(sys.argv[1]), sys.argv[2].split(","), sys.argv[3]
    records = [Section(lures[0]), Table(["a", "b"], [[text, text] for text in lures], lures[1])]
    records += [Segment(text, n, n + 1, text) for n, text in enumerate(lures)]
    talk = Document(lures[0], "transcript", [Segment(t, n, n + 1, t) for n, t in enumerate(lures)])
    mixed = Document(lures[1], "custom", records)

    async def main():
        async with ExportService.from_url("file://" + folder) as service:
            for format in formats:
                for document in (talk, mixed) if format not in {"srt", "vtt"} else (talk,):
                    job = await service.export(document, format)
                    job = await service.wait(job.id)
                    assert job.status == "completed", (format, job.error)

    asyncio.run(main())
    if sys.argv[4:]:
        import socket
        try:
            socket.create_connection(("127.0.0.1", int(sys.argv[4])), timeout=5).close()
        except OSError:
            pass
        open(sys.argv[5]).close()
""")


def traced(tmp_path: Path, *more: str) -> tuple[list[str], str]:
    """Render everything under strace; return the calls to the internet, and the whole log."""
    strace = shutil.which("strace")
    if strace is None:
        if os.environ.get("REQUIRE_SERVICES"):
            pytest.fail("no strace: install it")
        pytest.skip("no strace: install it")
    canary = tmp_path / "canary.ttf"
    canary.write_text("the canary sings")
    lures = [text.format(url="http://127.0.0.1:9/", file=canary) for text in LURES]
    needs = {"docx": "docx", "pdf": "reportlab", "xlsx": "xlsxwriter", "parquet": "pyarrow"}
    formats = [name for name in FORMATS.names() if name not in needs or _has(needs[name])]
    log = tmp_path / "strace.log"
    command = [
        strace, "-f", "--seccomp-bpf", "-qq", "-s", "300", "-o", log,
        "-e", "trace=socket,connect,sendto,sendmsg,openat,open,execve",
        sys.executable, "-c", CHILD, json.dumps(lures), ",".join(formats), str(tmp_path / "e"),
        *more,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    if "ptrace" in done.stderr and not os.environ.get("REQUIRE_SERVICES"):
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "e").rglob("*.*"))) >= len(formats)
    text = log.read_text(errors="replace")
    return [line for line in text.splitlines() if "AF_INET" in line], text


def _has(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def test_no_format_leaves_the_machine_or_reads_a_file(tmp_path: Path) -> None:
    calls, log = traced(tmp_path)
    assert calls == []
    assert 'canary.ttf", O' not in log
    programs = {
        line.split('execve("')[1].split('"')[0] for line in log.splitlines() if "execve(" in line
    }
    assert {Path(each).name for each in programs} == {Path(sys.executable).name}


def test_what_would_be_seen(tmp_path: Path) -> None:
    """The log does hold a connection and an opened canary, where there are any."""
    calls, log = traced(tmp_path, "9", str(tmp_path / "canary.ttf"))
    assert any("connect(" in line and "htons(9)" in line for line in calls)
    assert 'canary.ttf", O' in log
