"""The command line."""

import asyncio
import json
from pathlib import Path

import pytest

from jobqueue import JobQueue
from jobqueue.cli import main

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
    assert "oldest_pending_age   0." in out
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stats", "--url", "nope://"], "unknown broker"),
        (["stats"], "no broker is named"),
        (["stats", "--url", "sqlite:////proc/nowhere/x.db"], "proc"),
        (["worker", "no_such_module:queue"], "no module"),
        (["worker", "json:dumps"], "is no JobQueue"),
        (["worker", "jobqueue:queue"], "memory of one process"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_bad_queues_option() -> None:
    with pytest.raises(SystemExit):
        main(["worker", "x:y", "--queues", "high"])
