"""What the page does with an answer that comes when something newer is shown already."""

from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import pytest
import pytest_asyncio
from pages import ready
from studio_process import Studio, running

from _common.browser import chromium
from _common.held import holding
from transcript_studio.profile import Profile

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
SAMPLES = files("transcript_studio") / "samples"
GARDEN, CALL = str(SAMPLES / "garden_podcast.en.srt"), str(SAMPLES / "support_call.json")
SAVE = "#editor button:text-is('Save')"
TITLES = "[...document.querySelectorAll('#transcripts .row a')].map(each => each.textContent)"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(shared_profile: Profile) -> AsyncIterator[Studio]:
    chromium()
    async with running(shared_profile) as made:
        yield made


async def test_a_list_takes_no_title_back(page: Any) -> None:
    await ready(page, GARDEN)
    await page.wait_for_selector("notification-bell .badge:text-is('1')")
    await page.locator("#transcripts .row a").click()
    await page.locator("#edit").click()
    await page.fill("#edit-title", "Vegetables")
    async with holding(page, "**/api/transcripts?*") as listing:
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await listing.asked()
        await page.locator(SAVE).click()
        await page.wait_for_selector("#transcripts .row a:text-is('Vegetables')")
        await listing.come()
    assert await page.evaluate(TITLES) == ["Vegetables"]


async def test_whoever_has_gone_on_stays_there(page: Any) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    second, first = await ready(page, GARDEN, CALL)
    await page.locator(f"#t-{first} .row a").click()
    await page.locator("#edit").click()
    await page.fill("#edit-title", "Vegetables")
    async with holding(page, f"**/api/transcripts/{first}") as saving:
        await page.locator(SAVE).click()
        await saving.asked()
        await page.locator(f"#t-{second} .row a").click()
        await page.wait_for_selector("#reader-title:text-is('support call')")
        await saving.come()
    assert await page.inner_text("#reader-title") == "support call"
    await page.wait_for_selector(f"#t-{first} .row a:text-is('Vegetables')")


async def test_what_is_being_saved_is_neither_changed_nor_discarded(page: Any) -> None:
    await ready(page, GARDEN)
    await page.locator("#transcripts .row a").click()
    await page.locator("#edit").click()
    await page.fill("#edit-title", "Vegetables")
    async with holding(page, "**/api/transcripts/*") as saving:
        await page.locator(SAVE).click()
        await saving.asked()
        await page.locator("#edit-title").press_sequentially(" and more")
        await page.locator("#edit-cancel").evaluate("button => button.click()")
        assert await page.input_value("#edit-title") == "Vegetables"
        await saving.come()
    await page.wait_for_selector("#edit:focus")
    assert await page.inner_text("#reader-title") == "Vegetables"


async def test_what_was_saved_is_saved_though_its_answer_is_lost(page: Any) -> None:
    await ready(page, GARDEN)
    await page.locator("#transcripts .row a").click()
    await page.locator("#edit").click()
    await page.fill("#edit-speakers input[aria-label='Name of Omar']", "Omer")
    async with holding(page, "**/api/transcripts/*") as saving:
        await page.locator(SAVE).click()
        await saving.asked()
        await saving.come(lost=True)
    await page.wait_for_selector("#edit-problem:has-text('cannot be reached')")
    await page.locator(SAVE).click()
    await page.wait_for_selector("#edit:focus")
    await page.wait_for_selector("#segments b:text-is('Omer')")
    assert await page.locator("#edit-problem").is_hidden()


async def test_a_search_that_failed_hides_no_newer_one(page: Any) -> None:
    await ready(page, GARDEN)
    async with holding(page, "**/api/search?q=compost") as older:
        await page.fill("#query", "compost")
        await older.asked()
        await page.fill("#query", "watering")
        await page.wait_for_selector("#hits mark")
        await older.come(lost=True)
    assert await page.locator("#hits mark").count()
    assert "watering" in await page.inner_text("#found")


async def test_what_is_alike_replaces_no_newer_search(page: Any) -> None:
    await ready(page, GARDEN)
    await page.fill("#query", "compost")
    await page.wait_for_selector("#hits mark")
    async with holding(page, "**/api/similar/*") as older:
        await page.locator("#hits button.more").first.click()
        await older.asked()
        await page.fill("#query", "watering")
        await page.wait_for_selector("#found:has-text('watering')")
        await older.come()
    assert "watering" in await page.inner_text("#found")
