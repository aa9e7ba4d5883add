"""What people meet first: mistakes are named where they are made, logs say what happened."""

import io
import logging
from pathlib import Path
from typing import Any

import pytest

from jobqueue import ConfigurationError, Job, JobContext, JobQueue, Middleware, Settings
from jobqueue.cli import main
from jobqueue.cli.logs import Formatter
from jobqueue.testing import FakeClock


def test_a_line_of_the_log_says_what_it_is_about(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Formatter())
    logger = logging.getLogger("jobqueue.first_steps")
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.info("job.retried", extra={"job_id": "a1", "error": "E: two\nlines", "delay": None})
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("job.failed", extra={"job_id": "a1"})
    first, second, *trace = stream.getvalue().splitlines()
    assert first.endswith("INFO job.retried job_id=a1 error='E: two\\nlines'")
    assert second.endswith("ERROR job.failed job_id=a1")
    assert trace[-1] == "ValueError: no"


async def _unannotated(job: Job, ctx) -> None: ...  # type: ignore[no-untyped-def]
async def _by_keyword(job: Job, *, ctx: JobContext) -> None: ...
async def _context_first(ctx: JobContext, job: Job) -> None: ...
async def _context_alone(ctx: JobContext) -> None: ...
async def _other_type(job: Job, number: int) -> None: ...


@pytest.mark.parametrize(
    "handler", [_unannotated, _by_keyword, _context_first, _context_alone, _other_type]
)
def test_handlers_that_could_not_be_called_are_refused(queue: JobQueue, handler: Any) -> None:
    with pytest.raises(ConfigurationError, match=handler.__name__):
        queue.worker("x")(handler)


async def _optional(job: Job, ctx: JobContext | None = None) -> None: ...
async def _spread(job: Job, *more: Any, **others: Any) -> None: ...


@pytest.mark.parametrize("handler", [_optional, _spread])
async def test_handlers_with_more_that_need_not_be_given(queue: JobQueue, handler: Any) -> None:
    queue.worker("x")(handler)
    job = await queue.enqueue("x")
    await queue.run_until_idle()
    assert (await queue.wait(job.id, timeout=1)).status == "completed"


@pytest.mark.parametrize("given", [print, Middleware, object()])
def test_middleware_of_another_kind_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="takes a ready Middleware"):
        JobQueue.from_url("memory://", middleware=[given])


async def test_what_is_over_is_gone_after_running_until_idle(
    queue: JobQueue, clock: FakeClock
) -> None:
    @queue.worker("x", result_ttl=60)
    async def x(job: Job) -> None: ...

    job = await queue.enqueue("x")
    await queue.run_until_idle()
    assert await queue.get_job(job.id) is not None
    await queue.run_until_idle(advance=61)
    assert await queue.get_job(job.id) is None


async def test_running_out_of_time_says_where_the_job_is(queue: JobQueue) -> None:
    job = await queue.enqueue("nobody runs it")
    with pytest.raises(TimeoutError, match=f"job '{job.id}' is pending after 0.01 s"):
        await queue.result(job.id, timeout=0.01)


def test_the_environment_may_name_the_url_alone() -> None:
    environ = {"JOBQUEUE_URL": "sqlite:///a$b.db", "JOBQUEUE__LEASE": "20"}
    settings = Settings.from_env(environ)
    assert (settings.broker.connection_string, settings.lease) == ("sqlite:///a$b.db", 20.0)
    environ["JOBQUEUE__BROKER__CONNECTION_STRING"] = "sqlite:///other.db"
    assert Settings.from_env(environ).broker.connection_string == "sqlite:///other.db"


def test_commands_make_no_file_for_a_mistyped_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sqlalchemy")
    path = tmp_path / "typo.db"
    assert main(["stats", "--url", f"sqlite:///{path}"]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert not path.exists()
