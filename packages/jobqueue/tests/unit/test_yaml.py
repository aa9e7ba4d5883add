"""The YAML of the users' specification loads, and each key has its effect."""

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from _common.processes import free_port
from jobqueue import BackendError, ConfigurationError, Job, JobContext, JobQueue, Settings, Worker
from jobqueue.testing import FakeClock

YAML = """
job_queue:
  # Broker
  broker:
    type: redis # or rabbitmq, sqs
    connection_string: "${REDIS_URL}"

  # Queues
  queues:
    default:
      priority: 0
      workers: 4
    high_priority:
      priority: 10
      workers: 2
    low_priority:
      priority: -10
      workers: 1

  # Job defaults
  defaults:
    max_attempts: 3
    backoff: exponential
    timeout: 300 # seconds

  # Scheduled jobs
  scheduler:
    enabled: true
    timezone: "UTC"

  # Monitoring
  monitoring:
    enabled: true
    metrics_port: 9090
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pytest.importorskip("yaml")
    made = tmp_path / "settings.yaml"
    made.write_text(YAML, encoding="utf-8")
    return made


def test_specified_yaml_loads(path: Path) -> None:
    settings = Settings.from_yaml(path, environ={"REDIS_URL": "redis://localhost"})
    assert settings.broker.connection_string == "redis://localhost"
    assert settings.queues["high_priority"].priority == 10
    assert settings.monitoring.metrics_port == 9090


async def test_the_specified_broker_is_redis(path: Path) -> None:
    pytest.importorskip("redis")
    from jobqueue.adapters.redis.broker import RedisBroker

    settings = Settings.from_yaml(path, environ={"REDIS_URL": "redis://:secret@127.0.0.1:1"})
    queue = JobQueue(settings)
    with pytest.raises(BackendError, match=r"redis://:\*\*\*@127\.0\.0\.1:1") as caught:
        await queue.get_stats()
    assert isinstance(queue.broker, RedisBroker)
    assert "secret" not in str(caught.value)
    await queue.aclose()


async def test_a_broker_that_is_not_there_is_named(path: Path) -> None:
    settings = Settings.from_yaml(path, environ={"REDIS_URL": "kafka://:secret@localhost"})
    with pytest.raises(ConfigurationError, match=r"unknown broker 'kafka'; known: "):
        await JobQueue(settings).get_stats()


def test_a_missing_variable_is_named(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        Settings.from_yaml(path, environ={})


@pytest.mark.parametrize(("kind", "scheme"), [("rabbitmq", "celery+amqp"), ("sqs", "celery+sqs")])
def test_message_brokers_need_a_store(kind: str, scheme: str) -> None:
    url = {"type": kind, "connection_string": "amqp://host"}
    with pytest.raises(ConfigurationError, match="store: postgresql"):
        Settings.from_mapping({"broker": url}).broker.url()
    made = Settings.from_mapping({"broker": {**url, "store": "sqlite:///x"}})
    assert made.broker.url() == f"{scheme}://host"


async def test_queue_priority_is_added(clock: FakeClock) -> None:
    queues = {"high": {"priority": 10}, "low": {"priority": -999}}
    settings = Settings.from_mapping({"queues": queues})
    async with JobQueue(settings, clock=clock) as queue:
        assert (await queue.enqueue("x", queue="high", priority=5)).priority == 15
        assert (await queue.enqueue("x", queue="low", priority=-5)).priority == -1000


async def test_workers_bound_the_concurrency() -> None:
    settings = Settings.from_mapping({"queues": {"default": {"workers": 2}}})
    running = peak = 0
    async with JobQueue(settings) as queue:

        @queue.worker("x")
        async def handler(job: Job) -> None:
            nonlocal running, peak
            running += 1
            peak = max(peak, running)
            await asyncio.sleep(0.01)
            running -= 1

        await queue.enqueue_many([("x", {})] * 8)
        await queue.run_until_idle()
    assert peak == 2


async def test_defaults_hold(clock: FakeClock) -> None:
    settings = Settings.from_mapping(
        {"defaults": {"max_attempts": 2, "backoff": "fixed", "timeout": 0.05}}
    )
    async with JobQueue(settings, clock=clock) as queue:

        @queue.worker("x")
        async def handler(job: Job) -> None:
            await asyncio.sleep(30)

        job = await queue.enqueue("x")
        assert job.max_attempts == 2
        await queue.run_until_idle()
        found = await queue.get_job(job.id)
        assert found is not None
        assert found.status == "delayed"
        assert (found.error or "").startswith("JobTimeout: ran longer than 0.05 s")
        # "fixed" waits exactly its base
        assert (found.scheduled_at or datetime.min).timestamp() == pytest.approx(clock.time() + 2.0)
        await queue.run_until_idle(advance=10)
        found = await queue.get_job(job.id)
        assert found is not None
        assert (found.status, found.attempts) == ("failed", 2)


async def test_timezone_is_that_of_naive_times_and_of_cron(clock: FakeClock) -> None:
    settings = Settings.from_mapping({"scheduler": {"timezone": "Asia/Tokyo"}})
    async with JobQueue(settings, clock=clock) as queue:

        @queue.cron("0 9 * * *", name="daily")
        async def daily(job: Job) -> None: ...

        job = await queue.schedule("x", {}, datetime(2030, 1, 1, 9, 0))
        assert job.scheduled_at is not None
        assert job.scheduled_at.isoformat() == "2030-01-01T00:00:00+00:00"
        tick = next(queue.cron_entries[0].after(clock.time()))
        assert datetime.fromtimestamp(tick, queue.cron_entries[0].place).hour == 9


@pytest.mark.parametrize("enabled", [True, False])
async def test_scheduler_can_be_off(enabled: bool) -> None:
    settings = Settings.from_mapping({"scheduler": {"enabled": enabled}})
    async with JobQueue(settings) as queue:
        ticks: list[str] = []

        @queue.cron("* * * * * *", name="often")
        async def often(job: Job, ctx: JobContext) -> None:
            ticks.append(job.id)

        worker = Worker(queue)
        running = asyncio.create_task(worker.run())
        if enabled:
            async with asyncio.timeout(60):
                while not ticks:
                    await asyncio.sleep(0.02)
        else:
            await asyncio.sleep(1.2)
            assert not ticks
        worker.stop()
        await running


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        ({"brokr": {}}, "brokr"),
        ({"queues": {"a": {"workers": 0}}}, r"\$\.queues\[\.\.\.\]\.workers"),
        ({"defaults": {"backoff": "linear"}}, r"\$\.defaults\.backoff"),
        ({"scheduler": {"timezone": "Mars/Olympus"}}, "Mars/Olympus"),
        ({"monitoring": {"metrics_port": 70000}}, r"\$\.monitoring\.metrics_port"),
    ],
)
def test_wrong_settings_name_their_place(bad: dict[str, object], where: str) -> None:
    with pytest.raises(ConfigurationError, match=where):
        Settings.from_mapping(bad)


async def test_metrics_port_serves_the_figures() -> None:
    port = free_port()
    settings = Settings.from_mapping({"monitoring": {"metrics_port": port}})
    async with JobQueue(settings) as queue:
        await queue.enqueue("x", delay=60)
        worker = Worker(queue)
        running = asyncio.create_task(worker.run())
        async with asyncio.timeout(60):
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    break
            writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
            text = (await reader.read()).decode()
            writer.close()
        worker.stop()
        await running
    assert text.startswith("HTTP/1.1 200")
    assert 'jobqueue_jobs{queue="default",status="delayed"} 1' in text
