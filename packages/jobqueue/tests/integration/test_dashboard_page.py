"""The dashboard in headless Chromium, with a real server and a real worker."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from _common.browser import Visited, sound_page, until_in, visiting
from jobqueue import Job, JobContext, JobQueue, Settings, Worker

pytest.importorskip("playwright.async_api")
pytest.importorskip("uvicorn")
pytest.importorskip("sqlalchemy")
pytest.importorskip("starlette")
pytestmark = pytest.mark.slow

EVIL = '<script>window.hacked=1</script><img src="x" onerror="window.hacked=2">'
VIEWS = ("#/", "#/jobs", "#/failures", "#/job?id=bad")


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    async with visiting() as made:
        yield made


@pytest.fixture
async def page(browser: Any) -> AsyncIterator[Any]:
    """A page of which no script fails and no rule of the policy is broken."""
    async with sound_page(browser) as made:
        yield made
        assert await made.evaluate("window.hacked") is None


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    """Overrides the one in memory: a worker and a server share it like two processes would."""
    settings = {"broker": {"connection_string": f"sqlite:///{tmp_path}/jobs.db"}, "lease": 3}
    async with JobQueue(Settings.from_mapping(settings)) as made:
        yield made


class Site(Visited):
    """A server of the dashboard; the signed-in users are up to the test."""

    def __init__(self, queue: JobQueue) -> None:
        super().__init__()
        self.queue, self.signed_in, self.may_change = queue, True, True

    def application(self) -> Any:
        from jobqueue.asgi import create_app

        self.app = create_app(
            self.queue,
            authenticate=lambda _: "ada" if self.signed_in else None,
            authorize=lambda _, action, __: self.may_change or action in {"overview", "read"},
        )
        return self.app

    def end_connections(self) -> None:
        self.app.state.live.close()


@pytest.fixture
async def site(queue: JobQueue) -> AsyncIterator[Site]:
    made = Site(queue)
    await made.start()
    yield made
    await made.stop()


@asynccontextmanager
async def working(queue: JobQueue) -> AsyncIterator[None]:
    worker = Worker(queue, shutdown_timeout=0)
    task = asyncio.create_task(worker.run())
    yield
    worker.stop()
    await task


async def status_of(queue: JobQueue, job_id: str, wanted: str) -> None:
    async with asyncio.timeout(60):
        while (found := await queue.get_job(job_id)) is None or found.status != wanted:
            await asyncio.sleep(0.02)


async def rows(page: Any, count: int) -> None:
    await until_in(page, f"document.querySelectorAll('tbody tr').length === {count}")


def tile(page: Any, name: str, value: str) -> Any:
    return page.wait_for_selector(f'[data-tile="{name}"] strong:text-is("{value}")')


async def test_a_job_is_seen_from_its_enqueueing_to_its_end(
    site: Site, page: Any, queue: JobQueue
) -> None:
    go = asyncio.Event()

    @queue.worker("report")
    async def report(job: Job, ctx: JobContext) -> dict[str, int]:
        ctx.progress(40)
        await go.wait()
        return {"rows": 2**60 + 1}

    await page.goto(site.url)
    await page.wait_for_selector('#connection[data-state="live"]')
    await tile(page, "pending", "0")
    job = await queue.enqueue("report", {"account": 2**60 + 1}, id="r/1?#%20")
    await tile(page, "pending", "1")
    async with working(queue):
        await tile(page, "processing", "1")
        await page.click("ul.brief a:text-is('report')")
        await page.wait_for_selector('h1:text-is("report")')
        await page.wait_for_selector('.badge[data-status="processing"]')
        await until_in(page, "document.querySelector('main progress').value === 40")
        go.set()
        await page.wait_for_selector('.badge[data-status="completed"]')
    texts = await page.locator("main pre:visible").all_text_contents()
    # digits beyond 2**53 are kept
    assert texts[0] == '{\n  "account": 1152921504606846977\n}'
    assert texts[1] == '{\n  "rows": 1152921504606846977\n}'
    await page.click("nav a:text-is('Overview')")
    await tile(page, "completed", "1")
    # a point is drawn each other second
    said = "Throughput over the last ten minutes; now completed 0.0"
    await page.wait_for_selector(f"svg.chart[aria-label^='{said}']", state="attached")
    assert job.id == "r/1?#%20"


async def test_steering_through_the_page(site: Site, page: Any, queue: JobQueue) -> None:
    @queue.worker("bad", max_attempts=1)
    async def bad(job: Job) -> None:
        raise ValueError("no such file")

    @queue.worker("long")
    async def long(job: Job) -> None:
        await asyncio.sleep(60)

    for name in ("f1", "f2", "f3"):
        await queue.enqueue("bad", id=name)
    await queue.run_until_idle()
    await page.goto(f"{site.url}#/failures")
    row = page.locator("tbody tr", has_text="f2")
    await row.locator("summary").click()
    assert "in bad" in await row.locator("pre").inner_text()
    await row.get_by_role("button", name="Retry").click()
    await status_of(queue, "f2", "pending")
    await row.wait_for(state="detached")
    # all of them, after a question that can be answered with no
    await page.get_by_role("button", name="Retry all failed").click()
    await page.get_by_role("button", name="Keep").click()
    assert (await queue.get_stats()).failed == 2
    await page.get_by_role("button", name="Retry all failed").click()
    await page.locator("dialog").get_by_role("button", name="Retry").click()
    await page.wait_for_selector(".toast:text-is('2 jobs are pending again')")
    assert (await queue.get_stats()).pending == 3
    # one is removed on its page
    await page.goto(f"{site.url}#/job?id=f1")
    await page.get_by_role("button", name="Remove").click()
    await page.locator("dialog").get_by_role("button", name="Remove").click()
    await page.wait_for_url("**/#/jobs")
    assert await queue.get_job("f1") is None
    # a queue is paused, so that nothing begins; then a running job is cancelled
    await page.goto(f"{site.url}#/")
    await page.get_by_role("button", name="Pause").click()
    await page.wait_for_selector('.badge[data-status="paused"]')
    assert await queue.get_queues() == {"default": True}
    async with working(queue):
        running = await queue.enqueue("long", id="runs")
        await page.get_by_role("button", name="Resume").click()
        await page.wait_for_selector('.badge[data-status="active"]')
        await status_of(queue, running.id, "processing")
        await page.goto(f"{site.url}#/jobs?status=processing")
        row = page.locator("tbody tr", has_text="runs")
        await row.get_by_role("button", name="Cancel").click()
        await page.locator("dialog").get_by_role("button", name="Cancel").click()
        await status_of(queue, "runs", "cancelled")
        await row.wait_for(state="detached")


async def test_searching(site: Site, page: Any, queue: JobQueue) -> None:
    for n in range(30):
        await queue.enqueue(f"n{n % 2}", queue=f"q{n % 3}", id=f"job-{n:02}")
    await page.goto(f"{site.url}#/jobs")
    await rows(page, 25)
    await page.click("a:text-is('Older →')")
    await rows(page, 5)
    await page.click("a:text-is('← Newest')")
    await rows(page, 25)
    await page.fill("[name=name]", "n1")
    await page.fill("[name=queue]", "q0")
    await page.select_option("[name=status]", "pending")
    await page.fill("[name=createdAfter]", "2020-01-01T00:00")
    await page.click("button:text-is('Search')")
    await rows(page, 5)
    assert await page.input_value("[name=name]") == "n1"
    assert await page.input_value("[name=createdAfter]") == "2020-01-01T00:00"
    await page.fill("[name=createdBefore]", "2020-01-02T00:00")
    await page.press("[name=createdBefore]", "Enter")
    await page.wait_for_selector("p:text-is('No job is like this.')")
    await page.click("a:text-is('Clear')")
    await page.fill("[name=id]", "job-07")
    await page.press("[name=id]", "Enter")
    await rows(page, 1)
    await page.goto(f"{site.url}#/job?id=nope")
    await page.wait_for_selector("text=There is no such job")


async def test_nothing_that_jobs_say_is_html(site: Site, page: Any, queue: JobQueue) -> None:
    @queue.worker(EVIL, max_attempts=1)
    async def bad(job: Job) -> None:
        raise ValueError(EVIL)

    headers = {"correlation_id": EVIL, "__proto__": EVIL}
    await queue.enqueue(EVIL, {EVIL: [EVIL], "__proto__": 1}, id="bad", headers=headers)
    await queue.run_until_idle()
    await queue.enqueue(EVIL, queue=EVIL, id=EVIL)
    await queue.pause(EVIL)
    for view in VIEWS:
        await page.goto(f"{site.url}{view}")
        await page.wait_for_selector(f"main >> text={EVIL}")
        await page.wait_for_selector('#connection[data-state="live"]')
        assert await page.locator("main script, main img, main iframe").count() == 0, view
    assert json.dumps(EVIL) in await page.locator("pre[aria-label=Data]").inner_text()
    await page.goto(f"{site.url}#/jobs")
    await page.locator("tbody tr", has_text="paused").or_(page.locator("tbody a")).first.click()
    await page.wait_for_selector(f"p.mono:text-is({json.dumps(EVIL)})")
    await page.get_by_role("button", name="Cancel").click()
    await page.wait_for_selector(f"dialog h2:has-text({json.dumps(EVIL)})")
    await page.locator("dialog").get_by_role("button", name="Cancel").click()
    await status_of(queue, EVIL, "cancelled")
    await page.wait_for_selector(f".toast:has-text({json.dumps(EVIL)})")


async def test_a_server_that_restarts(site: Site, page: Any, queue: JobQueue) -> None:
    await page.goto(site.url)
    await page.wait_for_selector('#connection[data-state="live"]')
    await site.stop()
    await page.wait_for_selector('#connection[data-state="connecting"]')
    await queue.enqueue("x")
    await site.start()
    await page.wait_for_selector('#connection[data-state="live"]')
    await tile(page, "pending", "1")


async def test_a_server_that_refuses_for_a_while(
    site: Site, page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An EventSource gives up after an answer that is no stream; the page does not."""
    from jobqueue.asgi import live

    await page.goto(site.url)
    await page.wait_for_selector('#connection[data-state="live"]')
    await site.stop()
    monkeypatch.setattr(live, "_MOST_WATCHERS", 0)
    await site.start()
    async with page.expect_response(lambda each: each.status == 503):
        pass
    monkeypatch.undo()
    await page.wait_for_selector('#connection[data-state="live"]')


async def test_who_is_signed_out_is_told(site: Site, page: Any) -> None:
    await page.goto(site.url)
    await page.wait_for_selector('#connection[data-state="live"]')
    site.signed_in = False
    await site.stop()
    await site.start()
    await page.wait_for_selector('#connection[data-state="signed-out"]')
    assert "not signed in" in await page.locator("#trouble").inner_text()
    answer = await page.reload()
    assert answer.status == 401


async def test_a_wrong_token(queue: JobQueue, page: Any) -> None:
    from jobqueue.asgi.local import Local

    local, stops = Local(queue, port=0), []
    task = asyncio.create_task(local.serve(stops.append))
    base = local.url.partition("?")[0]
    assert (await page.goto(f"{base}?token=wrong")).status == 403
    assert (await page.goto(base)).status == 401
    await page.goto(local.url)
    assert page.url == base  # the token is not in the address any more
    await page.wait_for_selector('#connection[data-state="live"]')
    assert await page.evaluate("document.cookie") == ""
    stops[0]()
    await task


async def test_without_permission_there_are_no_buttons(
    site: Site, page: Any, queue: JobQueue
) -> None:
    site.may_change = False
    await queue.enqueue("x", id="bad")
    for view in VIEWS:
        await page.goto(f"{site.url}{view}")
        await page.wait_for_selector('#connection[data-state="live"]')
    await page.wait_for_selector("h1:text-is('x')")
    labels = ("Pause", "Retry", "Cancel", "Remove", "Retry all failed")
    for label in labels:
        assert await page.get_by_role("button", name=label, exact=True).count() == 0


async def test_keyboard_and_small_screens(site: Site, page: Any, queue: JobQueue) -> None:
    for n in range(3):
        await queue.enqueue("a_job_with_quite_a_long_name", {"text": "x" * 300}, id=f"{n}" * 60)
    await queue.enqueue("bad", id="bad", max_attempts=1)
    await queue.run_until_idle()
    await page.goto(site.url)
    button = page.get_by_role("button", name="Pause")
    await button.focus()
    before = await tile(page, "pending", "0")
    await queue.enqueue("x", delay=60)
    await tile(page, "delayed", "1")
    # news came, and the focus is where it was
    assert await button.evaluate("each => each === document.activeElement")
    assert await before.evaluate("each => each.isConnected")
    await page.keyboard.press("Enter")
    await page.wait_for_selector('.badge[data-status="paused"]')
    await page.goto(f"{site.url}#/jobs")
    await page.wait_for_selector("tbody tr")
    await page.set_viewport_size({"width": 320, "height": 640})
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        for view in VIEWS:
            await page.goto(f"{site.url}{view}")
            await page.wait_for_selector("h1:not(:text-is('…'))", state="attached")
            await page.wait_for_selector("tbody tr, dl", state="attached")
            width = await page.evaluate("document.documentElement.scrollWidth")
            assert width <= 320, (view, scheme)
    colors = "getComputedStyle(document.body).backgroundColor"
    dark = await page.evaluate(colors)
    await page.emulate_media(color_scheme="light")
    assert await page.evaluate(colors) != dark
