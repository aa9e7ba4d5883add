"""From the environment, a URL or a call to a queue."""

import json
import logging
from pathlib import Path

import pytest

from jobqueue import (
    ConfigurationError,
    JobQueue,
    PayloadError,
    Settings,
)
from jobqueue import (
    queue as default_queue,
)


async def test_unconfigured_warns_once_and_strict_refuses(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)
    async with JobQueue() as queue:
        await queue.enqueue("x")
        await queue.enqueue("x")
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "JOBQUEUE_URL" in warnings[0].getMessage()
    monkeypatch.setenv("JOBQUEUE_STRICT", "1")
    with pytest.raises(ConfigurationError, match="JOBQUEUE_STRICT"):
        await JobQueue().get_stats()


async def test_environment_names_the_broker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JOBQUEUE_URL", "memory://")
    async with JobQueue() as queue:
        await queue.enqueue("x")
    pytest.importorskip("yaml")
    file = tmp_path / "c.yaml"
    file.write_text(json.dumps({"job_queue": {"max_payload": 10}}))
    monkeypatch.delenv("JOBQUEUE_URL")
    monkeypatch.setenv("JOBQUEUE_CONFIG", str(file))
    async with JobQueue() as queue:
        with pytest.raises(PayloadError, match="limit of 10"):
            await queue.enqueue("x", "y" * 11)


async def test_configure_comes_before_use() -> None:
    queue = JobQueue()
    queue.configure({"max_payload": 100})
    queue.configure("memory://")
    await queue.enqueue("x")
    with pytest.raises(ConfigurationError, match="before the first operation"):
        queue.configure("memory://")
    await queue.aclose()
    queue.configure(Settings())
    await queue.aclose()
    with pytest.raises(ConfigurationError, match="takes Settings"):
        queue.configure(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nope://x", "unknown broker 'nope'"),
        ("no-scheme", "not a URL"),
        ("memory://?x=1", "unknown option 'x'"),
    ],
)
async def test_bad_urls(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        await JobQueue.from_url(url).get_stats()


def test_default_instance_is_not_configured() -> None:
    assert default_queue._built is None
