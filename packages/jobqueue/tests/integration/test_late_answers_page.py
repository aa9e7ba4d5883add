"""Answers that come late to the dashboard: they take back nothing newer, and no focus."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from _common.browser import Visited, sound_page, until_in, visiting
from _common.held import holding
from jobqueue import Job, JobQueue

pytest.importorskip("playwright.async_api")
pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
pytestmark = pytest.mark.slow

ROWS = "[...document.querySelectorAll('tbody tr .mono')].map((each) => each.textContent).join()"
LIVE = '#connection[data-state="live"]'


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    async with visiting() as made:
        yield made


@pytest.fixture
async def page(browser: Any) -> AsyncIterator[Any]:
    """A page of which no script fails."""
    async with sound_page(browser) as made:
        yield made


@pytest.fixture
async def queue() -> AsyncIterator[JobQueue]:
    """Three dead letters, of which ``f3`` is the newest."""
    async with JobQueue.from_url("memory://") as made:

        @made.worker("bad", max_attempts=1)
        async def bad(_job: Job) -> None:
            raise ValueError("no such file")

        for name in ("f1", "f2", "f3"):
            await made.enqueue("bad", id=name)
            await made.run_until_idle()
        yield made


class Site(Visited):
    """A server of the dashboard, where everybody may do everything."""

    def __init__(self, queue: JobQueue) -> None:
        super().__init__()
        self.queue = queue

    def application(self) -> Any:
        from jobqueue.asgi import create_app

        self.app = create_app(
            self.queue, authenticate=lambda _: "ada", authorize=lambda _, __, ___: True
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


async def rows(page: Any, expected: str) -> None:
    await until_in(page, f"{ROWS} === {expected!r}", ROWS)


def row(page: Any, id: str) -> Any:
    return page.locator("tbody tr", has_text=id)


async def test_a_list_that_was_asked_for_before_an_action(
    site: Site, page: Any, queue: JobQueue
) -> None:
    await page.goto(f"{site.url}#/failures")
    await rows(page, "f3,f2,f1")
    async with holding(page, "**/api/jobs?*") as older:
        await queue.enqueue("other", delay=60)  # the counts change: the page looks again
        await older.asked()
        await row(page, "f2").get_by_role("button", name="Retry").click()
        await rows(page, "f3,f1")
        await older.come()
    assert await page.evaluate(ROWS) == "f3,f1"


async def test_an_older_list_that_fails_says_nothing(
    site: Site, page: Any, queue: JobQueue
) -> None:
    await page.goto(f"{site.url}#/failures")
    await rows(page, "f3,f2,f1")
    async with holding(page, "**/api/jobs?*") as older:
        await queue.enqueue("other", delay=60)
        await older.asked()
        await page.click("nav a:text-is('Overview')")
        await page.wait_for_selector("[data-tile=delayed] strong:text-is('1')")
        await older.come(lost=True)
    assert await page.locator(".toast").count() == 0


async def test_a_job_that_was_asked_for_before_an_action(
    site: Site, page: Any, queue: JobQueue
) -> None:
    await page.goto(f"{site.url}#/job?id=f1")
    await page.wait_for_selector('.badge[data-status="failed"]')
    await page.wait_for_selector(LIVE)
    async with holding(page, "**/api/job?id=*") as older:
        await queue.enqueue("other", delay=60)
        await older.asked()
        await page.get_by_role("button", name="Retry").click()
        await page.wait_for_selector('.badge[data-status="pending"]')
        await older.come()
    assert await page.get_attribute("main .badge", "data-status") == "pending"


async def test_two_looks_at_the_last_failures(site: Site, page: Any, queue: JobQueue) -> None:
    """A look that is not answered yet does not stand in the way of the next, nor come after it."""
    async with holding(page, "**/api/jobs?status=failed*") as older:
        await page.goto(site.url)
        await older.asked()
        await queue.enqueue("bad", id="f4")
        await queue.run_until_idle()
        listed = "document.querySelectorAll('.pair > :last-child li').length"
        await until_in(page, f"{listed} === 4")
        await older.come()
    assert await page.evaluate(listed) == 4


async def test_who_has_gone_elsewhere_stays_there(site: Site, page: Any) -> None:
    await page.goto(f"{site.url}#/job?id=f1")
    async with holding(page, "**/api/job/remove") as removing:
        await page.get_by_role("button", name="Remove").click()
        await page.locator("dialog").get_by_role("button", name="Remove").click()
        await removing.asked()
        await page.click("nav a:has-text('Failures')")
        await rows(page, "f3,f2")
        await removing.come()
    await page.wait_for_selector(".toast:text-is('bad is removed')")
    assert page.url.endswith("#/failures")


async def test_the_keyboard_goes_on_where_it_was(site: Site, page: Any, queue: JobQueue) -> None:
    """A button that is busy keeps the focus; one that goes leaves it to what stands there now."""
    at = "document.activeElement?.textContent"
    await page.goto(site.url)
    await page.get_by_role("button", name="Pause").focus()
    asked, free = asyncio.Event(), asyncio.Event()

    async def slow(route: Any) -> None:
        asked.set()
        await free.wait()
        await route.continue_()

    await page.route("**/api/queue/pause", slow)
    await page.keyboard.press("Enter")
    await asked.wait()
    await page.evaluate("new Promise(requestAnimationFrame)")
    assert await page.evaluate(at) == "Pause"
    free.set()
    await until_in(page, f"{at} === 'Resume'")
    await page.goto(f"{site.url}#/failures")
    await rows(page, "f3,f2,f1")
    of = "document.activeElement?.closest('tr')?.querySelector('.mono').textContent"
    await row(page, "f2").get_by_role("button", name="Retry").focus()
    for left, then in (("f3,f1", "f1"), ("f3", "f3")):
        await page.keyboard.press("Enter")
        await rows(page, left)
        await until_in(page, f"{of} === {then!r} && {at} === 'Retry'")
    await page.keyboard.press("Enter")
    await rows(page, "")
    await until_in(page, "document.activeElement?.id === 'main'")
    await queue.enqueue("x", id="p1")
    await page.goto(f"{site.url}#/job?id=p1")
    await page.get_by_role("button", name="Cancel").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Escape")  # the question: kept
    await until_in(page, f"{at} === 'Cancel'")


async def test_twice_is_once(site: Site, page: Any, queue: JobQueue) -> None:
    asked: list[str] = []
    page.on("request", lambda each: asked.append(each.url) if each.method == "POST" else None)
    await page.goto(f"{site.url}#/failures")
    async with holding(page, "**/api/job/retry") as first:
        await (
            row(page, "f2")
            .get_by_role("button", name="Retry")
            .evaluate("(button) => { button.click(); button.click(); }")
        )
        await first.asked()
        await first.come()
    await rows(page, "f3,f1")
    assert len(asked) == 1
