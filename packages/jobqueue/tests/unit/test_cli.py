"""The command line."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from jobqueue import BackendError, JobQueue
from jobqueue.cli import looking, main, parsing, printing, top
from jobqueue.cli.running import warn_of_unknown

pytest.importorskip("sqlalchemy")


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"sqlite:///{tmp_path}/jobs.db"

    async def fill() -> None:
        async with JobQueue.from_url(made) as queue:

            @queue.worker("bad", max_attempts=1)
            async def handler(job: object) -> None:
                raise ValueError("wrong\ninput")

            await queue.enqueue("bad", {"n": 1}, id="j1")
            await queue.run_until_idle()
            await queue.enqueue("good", {"n": 2}, id="j2")

    asyncio.run(fill())
    return made


def test_stats_list_and_show(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--url", url]) == 0
    out = capsys.readouterr().out
    assert "failed               1" in out
    assert re.search(r"^oldest_pending_age   \d+\.\d+$", out, re.MULTILINE)
    assert main(["list", "--url", url, "--status", "failed"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert "ValueError: wrong" in out
    assert main(["show", "j1", "--url", url]) == 0
    assert json.loads(capsys.readouterr().out)["data"] == {"n": 1}
    assert main(["show", "nope", "--url", url]) == 1


def test_retry_cancel_purge(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["retry", "j1", "--url", url]) == 0
    assert main(["retry", "j1", "--url", url]) == 1
    assert main(["retry", "--url", url]) == 2
    assert main(["retry", "--all", "--url", url]) == 0
    assert main(["cancel", "j1", "--url", url]) == 0
    assert main(["cancel", "j1", "--url", url]) == 1
    assert main(["purge", "--url", url]) == 0
    assert "1 jobs deleted" in capsys.readouterr().out


def test_schema(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "sql", "--url", url]) == 0
    assert "CREATE TABLE IF NOT EXISTS jobqueue_jobs" in capsys.readouterr().out
    assert main(["schema", "upgrade", "--url", url]) == 0


def test_listing_with_filters_as_json(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    def ids(*arguments: str) -> list[str]:
        assert main(["list", "--url", url, "--json", *arguments]) == 0
        return [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()]

    assert ids() == ["j2", "j1"]
    assert ids("--limit", "1") == ["j2"]
    assert ids("--status", "failed", "--status", "pending") == ["j2", "j1"]
    assert ids("--name", "bad", "--queue", "default") == ["j1"]
    assert ids("--since", "1h", "--until", "2999-01-01") == ["j2", "j1"]
    assert ids("--until", "1h") == []
    assert ids("--since", "2999-01-01T00:00+02:00") == []


def test_listing_beyond_a_page(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "_PAGE", 1)
    assert main(["list", "--url", url]) == 0
    assert capsys.readouterr().out.count("\n") == 2


def test_json_of_stats(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--url", url, "--queue", "default", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["failed"], found["pending"], found["latencies"]["count"]) == (1, 1, 1)


def test_nothing_that_a_job_says_steers_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = f"sqlite:///{tmp_path}/evil.db"

    async def fill() -> None:
        async with JobQueue.from_url(made) as queue:

            @queue.worker("bad", max_attempts=1)
            async def handler(job: object) -> None:
                raise ValueError("\x1b[2J\x9b1mgone\rfake  completed")

            await queue.enqueue("bad")
            await queue.run_until_idle()

    asyncio.run(fill())
    pytest.importorskip("rich")
    for command in ("list", "top"):
        assert main([command, "--url", made]) == 0
        out = capsys.readouterr().out
        assert "\\x1b[2J" in out
        assert not {"\x1b", "\x9b", "\r"} & set(out)


def test_purge_by_status_and_age(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["purge", "--url", url, "--status", "failed", "--older-than", "7d"]) == 0
    assert "0 jobs deleted" in capsys.readouterr().out
    assert main(["purge", "--url", url, "--status", "failed"]) == 0
    assert "1 jobs deleted" in capsys.readouterr().out


def test_retrying_some(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["retry", "--all", "--name", "other", "--url", url]) == 0
    assert "0 jobs" in capsys.readouterr().out
    assert main(["retry", "--all", "--name", "bad", "--queue", "default", "--url", url]) == 0
    assert "1 jobs" in capsys.readouterr().out
    assert main(["retry", "j1", "--name", "bad", "--url", url]) == 2


def test_pause_and_resume(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pause", "default", "--url", url]) == 0
    assert capsys.readouterr() == ("default is paused\n", "")
    assert main(["resume", "default", "--url", url]) == 0
    assert main(["resume", "default", "--url", url]) == 0
    assert capsys.readouterr().out == "default goes on\ndefault was not paused\n"
    assert main(["pause", "no-such-queue", "--url", url]) == 0
    assert "no job is in a queue of this name" in capsys.readouterr().err


def test_top_prints_once_where_there_is_no_terminal(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rich")
    assert main(["pause", "default", "--url", url]) == 0
    assert main(["top", "--url", url]) == 0
    out = capsys.readouterr().out
    assert "default paused" in out
    assert "ValueError: wrong" in out
    assert "failed 1" in out


async def test_top_draws_on_while_the_broker_is_away(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rich")
    from rich.console import Console

    console = Console(width=100)
    async with JobQueue.from_url(url) as queue:
        picture = top.Picture()
        with console.capture() as seen:
            console.print(await top._drawn(picture, queue))
        assert "pending 1" in seen.get()

        async def down(*_: object) -> None:
            raise BackendError("no route")

        monkeypatch.setattr(queue.broker, "stats", down)
        with console.capture() as seen:
            console.print(await top._drawn(picture, queue))
        assert seen.get().strip() == "the broker does not answer: no route"


def test_sparklines() -> None:
    assert top.sparkline(deque([0.0, 4.0, 8.0])) == "▁▄█"
    assert top.sparkline(deque([0.0])) == ""


APP = """
from jobqueue import JobQueue
queue = JobQueue.from_url("{url}")

@queue.cron("*/5 * * * *", name="often", tz="Europe/Berlin")
async def often(job): ...

@queue.cron("0 3 * * *", name="nightly", catch_up="one")
async def nightly(job): ...
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module with cron entries, one of which nobody has looked at for an hour."""
    url = f"sqlite:///{tmp_path}/cron.db"
    (tmp_path / "cron_app.py").write_text(APP.format(url=url))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    async def seen() -> None:
        async with JobQueue.from_url(url) as queue:
            await queue.broker.tick("often", await queue.get_time() - 3600, ())

    asyncio.run(seen())
    yield "cron_app:queue"
    sys.modules.pop("cron_app", None)


def test_cron_entries(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cron", app]) == 0
    head, nightly, often = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "WHEN", "ZONE", "LAST", "NEXT"]
    assert nightly.split()[0] == "nightly"
    assert " never " in nightly
    assert "LATE" not in nightly
    assert "Europe/Berlin" in often
    assert often.endswith("LATE: is a worker running?")
    assert main(["cron", app, "--check"]) == 1
    capsys.readouterr()
    assert main(["cron", app, "--json"]) == 0
    nightly, often = map(json.loads, capsys.readouterr().out.splitlines())
    assert (nightly["lastTick"], nightly["late"], nightly["catchUp"]) == (None, False, "one")
    assert nightly["nextTick"].endswith("T03:00:00Z")
    assert (often["timezone"], often["late"]) == ("Europe/Berlin", True)


def test_a_queue_without_cron(app: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = f'from jobqueue import JobQueue\nqueue = JobQueue.from_url("sqlite:///{tmp_path}/x.db")'
    (tmp_path / "plain_app.py").write_text(text)
    assert main(["cron", "plain_app:queue", "--check"]) == 0
    assert "no cron entries" in capsys.readouterr().out
    sys.modules.pop("plain_app", None)


def test_nobody_reads_on(url: str, tmp_path: Path) -> None:
    """``jobqueue list | head -0``: an end without a word."""
    command = [sys.executable, "-m", "jobqueue", "list", "--url", url]
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (run.returncode, run.stderr) == (141, b"")


def test_a_terminal_without_unicode(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"

    async def fill() -> None:
        async with JobQueue.from_url(url) as queue:
            await queue.enqueue("größe")

    asyncio.run(fill())
    command = [sys.executable, "-m", "jobqueue", "list", "--url", url]
    environ = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    run = subprocess.run(command, capture_output=True, env=environ, check=True)
    assert rb"gr\xf6\xdfe" in run.stdout


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("7d", 604_800), (" 2w ", 1_209_600)],
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert parsing.length(text) == seconds


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--limit", "0"],
        ["list", "--limit", "many"],
        ["list", "--limit", "-1"],
        ["list", "--status", "odd"],
        ["list", "--since", "yesterday"],
        ["list", "--until", "9999999999999h"],
        ["list", "--name", ""],
        ["show", "a\nb"],
        ["cancel", "x" * 201],
        ["purge", "--older-than", "-1"],
        ["purge", "--older-than", "1 fortnight"],
        ["purge", "--status", "pending"],
        ["pause"],
        ["top", "--interval", "0"],
        ["dashboard", "--port", "70000"],
        ["worker", "x:y", "--queues", "high"],
        ["worker", "x:y", "--shutdown-timeout", "soon"],
        ["nonsense"],
        [],
    ],
)
def test_wrong_use_is_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    assert exited.value.code == 2
    error = capsys.readouterr().err
    assert "usage: jobqueue" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0012, "1.2 ms"),
        (2.5, "2.5 s"),
        (150, "2.5 min"),
        (9000, "2.5 h"),
        (2e5, "2.31 d"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert printing.duration(seconds) == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stats", "--url", "nope://"], "unknown broker"),
        (["stats"], "no broker is named"),
        (["stats", "--url", "memory://"], "belong to one process"),
        (["stats", "--url", "sqlite:////proc/nowhere/x.db"], "proc"),
        (["worker", "no_such_module:queue"], "no module"),
        (["worker", "json:dumps"], "is no JobQueue"),
        (["worker", "jobqueue:queue"], "memory of one process"),
        (["cron", "jobqueue:queue"], "memory of one process"),
        (["dashboard"], "no broker is named"),
        (["top"], "no broker is named"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.split() == ["jobqueue", version("jobqueue")]


@pytest.mark.parametrize(
    ("given", "meant"), [("defaults", "default"), ("mails", "mail"), ("x", None), ("mail", "")]
)
def test_a_misspelt_queue(given: str, meant: str | None, caplog: pytest.LogCaptureFixture) -> None:
    queue = JobQueue.from_url("memory://")
    queue.process("send", print, queue="mail")
    warn_of_unknown(queue, {given: 1})
    said = [vars(each)["did_you_mean"] for each in caplog.records]
    assert said == ([] if meant == "" else [meant])
