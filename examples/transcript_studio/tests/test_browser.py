"""The page in headless Chromium, with a real web server and a real worker, on both profiles."""

from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pages import listed
from studio_process import Studio, api, running

from _common.browser import chromium, until_in
from transcript_studio.library import chunks_of
from transcript_studio.profile import Profile
from transcript_studio.services import build
from transcript_studio.transcript import Segment, Transcript

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
SAMPLES = files("transcript_studio") / "samples"
HELLO = Path(str(SAMPLES / "README.md"))
SOUND = {"name": "waves.wav", "mimeType": "audio/wav", "buffer": b"the gated worker hears"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(shared_profile: Profile) -> AsyncIterator[Studio]:
    chromium()
    async with running(shared_profile) as made:
        yield made


async def test_a_first_visit_needs_no_file(studio: Studio, page: Any) -> None:
    studio.gate.let(1.0)
    await page.locator("#samples").click()
    for title in ("product meeting", "garden podcast"):
        await page.wait_for_selector(f"#transcripts .row:has-text('{title}') .state")
    assert not await page.locator("#empty").is_visible()
    await page.wait_for_selector("notification-bell .badge:text-is('2')")


async def test_upload_progress_search_and_download(page: Any) -> None:
    await page.set_input_files("#file", [str(SAMPLES / "garden_podcast.en.srt")])
    await page.wait_for_selector("#transcripts .state:text-is('Ready')")
    await page.wait_for_selector("notification-bell .badge:text-is('1')")
    await page.locator("notification-bell button.bell").click()
    await page.wait_for_selector("notification-list li.unread:has-text('garden podcast')")
    await page.locator("notification-list button.all").click()
    await page.wait_for_selector("notification-bell .badge", state="hidden")
    await page.keyboard.press("Escape")
    await page.fill("#query", "watering")
    await page.wait_for_selector("#hits mark")
    await page.locator("#facets button", has_text="Omar").click()
    await page.wait_for_selector("#facets button[aria-pressed=true]")
    await page.wait_for_function(
        "[...document.querySelectorAll('#hits small')].every(e => e.textContent.includes('Omar'))"
    )
    await page.locator("#facets button", has_text="Omar").click()
    await page.wait_for_selector("#facets button:has-text('Ruth')")
    await page.locator("#hits button.more").first.click()
    await page.wait_for_selector("#found:has-text('Like “')")
    await page.fill("#query", "watering tomatoes")
    await page.wait_for_selector("#hits mark")
    await page.locator("#hits a").first.click()
    await page.wait_for_selector("#segments li.here")
    async with page.expect_download() as download:
        await page.locator("#downloads a", has_text="docx").click()
    assert (await download.value).suggested_filename == "garden podcast.docx"


async def test_a_running_job_is_cancelled_and_taken_up_again(studio: Studio, page: Any) -> None:
    studio.gate.let(0.5)
    await page.set_input_files("#file", [SOUND])
    for _ in range(2):
        await page.wait_for_selector("progress-tracker .stage[data-status=processing]")
        await page.locator("progress-tracker footer button").click()
        await page.wait_for_selector("progress-tracker .card[data-status=cancelled]")
        [entry] = await listed(page, studio.url)
        await studio.ended(entry["id"], "cancelled")  # a worker may take its time to give it up
        await page.locator(".retry button").click()
        await page.wait_for_selector("progress-tracker .card[data-status=processing]")
    studio.gate.let(1)
    await page.wait_for_selector("#transcripts .state:text-is('Ready')")


async def test_a_page_that_is_loaded_anew_goes_on(studio: Studio, page: Any) -> None:
    studio.gate.let(0.5)
    await page.set_input_files("#file", [SOUND])
    await page.wait_for_selector("progress-tracker .stage[data-status=processing]")
    await page.reload()
    await page.wait_for_selector("progress-tracker .stage[data-status=processing]")
    studio.gate.let(1)
    await page.wait_for_selector("#transcripts .state:text-is('Ready')")
    await page.wait_for_selector("notification-bell .badge:text-is('1')")


async def test_what_outlived_its_progress_is_still_there(studio: Studio, page: Any) -> None:
    await page.set_input_files("#file", [str(SAMPLES / "garden_podcast.en.srt")])
    await page.wait_for_selector("#transcripts .state:text-is('Ready')")
    await page.set_input_files("#file", [SOUND])
    await page.wait_for_selector("progress-tracker .stage[data-status=processing]")
    await page.locator("progress-tracker footer button:visible").click()
    await page.wait_for_selector("progress-tracker .card[data-status=cancelled]")
    await studio.ended((await listed(page, studio.url))[0]["id"], "cancelled")
    services = build(studio.profile)
    try:
        for entry in await listed(page, studio.url):
            assert await services.tracker.delete(entry["id"])  # as the tracker does after some days
    finally:
        await services.aclose()
    await page.reload()
    await page.wait_for_selector("progress-tracker:has-text('Nobody works on this any more')")
    await page.locator("#transcripts .row a:visible").click()
    await page.wait_for_selector("#segments li")
    await page.locator(".retry:visible button").click()
    await page.wait_for_selector("progress-tracker .stage[data-status=processing]")
    studio.gate.let(1)
    await page.wait_for_selector("#transcripts .row:has-text('waves') .state:text-is('Ready')")


async def test_another_window_shows_what_is_new(studio: Studio, page: Any) -> None:
    other = await page.context.new_page()
    await other.goto(studio.url)
    await page.set_input_files("#file", [str(SAMPLES / "garden_podcast.en.srt")])
    await other.wait_for_selector("#transcripts .state:text-is('Ready')")
    await page.locator("#transcripts .row a").click()
    await page.locator("#edit").click()
    await page.fill("#edit-title", "Vegetables")
    await page.locator("#editor button:text-is('Save')").click()
    await page.wait_for_selector("#reader-title:text-is('Vegetables')")
    await other.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # it is looked at
    await other.wait_for_selector("#transcripts .row a:text-is('Vegetables')")


TITLES = "[...document.querySelectorAll('#transcripts .row a')].map(each => each.textContent)"


async def filled(studio: Studio, page: Any, count: int) -> list[str]:
    """Give the user of a page finished transcripts; return their titles, newest first."""
    [cookie] = [each for each in await page.context.cookies() if each["name"] == "studio_user"]
    library = build(studio.profile).library
    for number in range(count):
        entry = await library.add(cookie["value"], f"talk {number}.txt", chunks_of(HELLO))
        talk = Transcript(entry.title, "en", (Segment(0.0, 1.0, "Hello"),), 1.0, "txt")
        library.keep(entry.id, talk)
    return [f"talk {number}" for number in reversed(range(count))]


@pytest.mark.parametrize("width", [1200, 340])
async def test_the_whole_list_can_be_reached(studio: Studio, page: Any, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 700})
    titles = await filled(studio, page, 120)
    await page.reload()
    await page.wait_for_selector("#transcripts > li >> nth=49")
    assert await page.evaluate(TITLES) == titles[:50]
    # as if it had come from another window: it takes no place from those that follow
    titles = ["news", *titles]
    await page.request.post(
        f"{studio.url}api/transcripts", data="Hello", headers={"x-file-name": "news.txt"}
    )
    await page.wait_for_selector("#transcripts .row:has-text('news')")
    assert await page.evaluate(TITLES) == titles[:51]
    await page.locator("#older").focus()
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#shown:has-text('50 older ones are shown')")
    assert await page.evaluate(TITLES) == titles[:101]
    assert "talk 69" in await page.evaluate("document.activeElement.textContent")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "talk 69"
    await page.locator("#older").dblclick()
    await page.wait_for_selector("#older", state="hidden")
    assert await page.evaluate(TITLES) == titles
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    # a new title of an old one is seen, however far down it is
    oldest = await page.locator("#transcripts > li").last.get_attribute("id")
    path = f"{studio.url}api/transcripts/{oldest.removeprefix('t-')}"
    edit = {"revision": (await api(page, path))["revision"], "title": "The first"}
    await api(page, path, "PATCH", edit)
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await page.wait_for_selector("#transcripts > li:last-child:has-text('The first')")
    assert await page.evaluate(TITLES) == [*titles[:-1], "The first"]


async def test_what_came_from_elsewhere_before_a_first_upload(studio: Studio, page: Any) -> None:
    await page.wait_for_selector("#empty")
    titles = await filled(studio, page, 2)  # by another window
    await page.set_input_files("#file", [str(SAMPLES / "garden_podcast.en.srt")])
    await page.wait_for_selector("#transcripts > li >> nth=2")
    assert await page.evaluate(TITLES) == ["garden podcast", *titles]


async def test_what_is_not_in_the_list_can_be_edited(studio: Studio, page: Any) -> None:
    await filled(studio, page, 51)
    await page.reload()
    await page.wait_for_selector("#transcripts > li >> nth=49")
    first = await api(page, f"{studio.url}api/transcripts?limit=51")
    await page.goto(f"{studio.url}#{first['items'][-1]['id']}")
    await page.locator("#edit").click()
    await page.fill("#edit-title", "The first")
    await page.locator("#editor button:text-is('Save')").click()
    await page.wait_for_selector("#reader-title:text-is('The first')")
    await page.wait_for_selector("#edit:focus")


async def test_older_ones_that_do_not_come_are_asked_for_again(studio: Studio, page: Any) -> None:
    await filled(studio, page, 51)
    await page.reload()
    await page.wait_for_selector("#older:visible")
    await page.route("**/api/transcripts?*", lambda route: route.abort())
    await page.locator("#older").click()
    await page.wait_for_selector("#shown:has-text('cannot be reached')")
    await page.unroute("**/api/transcripts?*")
    await page.locator("#older").click()
    await page.wait_for_selector("#transcripts > li >> nth=50")
    await page.wait_for_selector("#shown:has-text('1 older one is shown')")


async def test_a_server_that_does_not_answer_is_said(studio: Studio, page: Any) -> None:
    await page.route("**/api/**", lambda route: route.abort())
    await page.fill("#query", "watering")
    await page.wait_for_selector("#found:has-text('cannot be reached')")
    await page.set_input_files(
        "#file", [str(SAMPLES / "garden_podcast.en.srt"), str(SAMPLES / "support_call.json")]
    )
    await page.wait_for_selector("#problem:has-text('support_call.json: The studio cannot')")
    assert "garden_podcast.en.srt: The studio cannot" in await page.inner_text("#problem")
    await page.reload()
    await page.wait_for_selector("#problem:has-text('cannot be reached')")
    await page.unroute("**/api/**")
    await page.wait_for_selector("#problem", state="hidden")  # it asks again by itself


IN_VIEW = """(() => {
  const { top, bottom } = document.querySelector("#found").getBoundingClientRect();
  return top > document.querySelector("header").clientHeight && bottom < innerHeight;
})()"""


async def test_what_is_found_comes_into_view(page: Any) -> None:
    await page.set_viewport_size({"width": 360, "height": 640})
    await page.set_input_files("#file", [str(SAMPLES / "garden_podcast.en.srt")])
    await page.locator("#transcripts .row a").click()
    await page.locator("#segments li").last.scroll_into_view_if_needed()
    await page.locator("#query").press_sequentially("watering")  # `fill` would scroll
    await page.wait_for_selector("#hits mark")
    await until_in(page, IN_VIEW)


async def test_a_transcript_is_edited(page: Any) -> None:
    await page.set_input_files("#file", [str(SAMPLES / "garden_podcast.en.srt")])
    await page.locator("#transcripts .row a").click()
    await page.locator("#edit").click()
    await page.fill("#edit-title", "Vegetables")
    await page.fill("#edit-speakers input[aria-label='Name of Omar']", "Omer")
    await page.locator("#edit-segments textarea").first.fill("Today we speak of <b>zucchini</b>.")
    await page.locator("#editor button:text-is('Save')").click()
    await page.wait_for_selector("#reader-title:text-is('Vegetables')")
    await page.wait_for_selector("#transcripts .row a:text-is('Vegetables')")
    await page.wait_for_selector("#segments li:has-text('<b>zucchini</b>')")
    await page.wait_for_selector("#segments b:text-is('Omer')")
    assert not await page.locator("#segments b:text-is('Omar')").count()


COVERED = """(() => {
  const { x, y, width, height } = document.querySelector("#editor button").getBoundingClientRect();
  return document.elementFromPoint(x + width / 2, y + height / 2)?.textContent;
})()"""


@pytest.mark.parametrize("size", [(1200, 800), (340, 640)])
async def test_nothing_covers_save(page: Any, size: tuple[int, int]) -> None:
    await page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    names = ("garden_podcast.en.srt", "workshop_meeting.vtt", "support_call.json")
    await page.set_input_files("#file", [str(SAMPLES / name) for name in names])
    await page.wait_for_selector("#transcripts .state:text-is('Ready') >> nth=2")
    await page.locator("#transcripts .row a").first.click()
    await page.locator("#edit").click()
    await page.wait_for_selector("#edit-title:focus")
    assert await page.evaluate(COVERED) == "Save"
    await page.locator("#edit-segments textarea").last.focus()
    assert await page.evaluate(COVERED) == "Save"


async def test_everything_as_one_zip(page: Any) -> None:
    await page.set_input_files("#file", [str(SAMPLES / "garden_podcast.en.srt")])
    await page.locator("#archive").click()
    async with page.expect_download() as download:
        await page.locator("#archives .link a").click()
    assert (await download.value).suggested_filename == "transcripts.zip"
    await page.wait_for_selector("#archives .link:has-text('works for 10 minutes')")


async def test_a_failure_says_why_and_can_be_tried_again(studio: Studio, page: Any) -> None:
    file = {"name": "notes.srt", "mimeType": "text/plain", "buffer": b"no cue in here"}
    await page.set_input_files("#file", [file])
    await page.wait_for_selector("progress-tracker .error:has-text('no cue')")
    await studio.ended((await listed(page, studio.url))[0]["id"], "failed")
    await page.locator(".retry button").click()
    await page.wait_for_selector("notification-bell .badge:text-is('2')")
    await page.wait_for_selector("progress-tracker .error:has-text('no cue')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_narrow_window_scrolls_in_one_direction_only(page: Any, scheme: str) -> None:
    await page.emulate_media(color_scheme=scheme)
    await page.set_viewport_size({"width": 320, "height": 640})
    await page.set_input_files("#file", [str(SAMPLES / "garden_podcast.en.srt")])
    await page.locator("#transcripts .row a").click()
    await page.fill("#query", "watering")
    await page.wait_for_selector("#hits mark")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
    await page.locator("#edit").click()
    await page.wait_for_selector("#edit-segments textarea")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
    await page.locator("header nav a").click()
    await page.wait_for_selector("#cards .figures >> nth=5")
    await page.wait_for_selector("notification-list li:has-text('garden podcast')")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320


FOCUSED = """(() => {
  let at = document.activeElement;
  while (at.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  if (at === document.body) return null;
  const { left, top, width, height } = at.getBoundingClientRect(), style = getComputedStyle(at);
  const label = at.getAttribute("aria-label") ?? at.labels?.[0]?.textContent ?? at.textContent;
  return {
    name: at.id || label.trim(), labelled: label.trim() !== "", seen: width * height > 0,
    inside: left >= 0 && left + width <= innerWidth && top >= 0 && top + height <= innerHeight,
    marked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1,
  };
})()"""


async def stops(page: Any, key: str, most: int = 100) -> list[dict[str, Any]]:
    """Return what has the focus, one after the other, until it leaves the document."""
    found: list[dict[str, Any]] = []
    while len(found) < most:
        await page.keyboard.press(key)
        if (focused := await page.evaluate(FOCUSED)) is None:
            break
        found.append(focused)
    return found


@pytest.mark.parametrize("width", [1200, 340])
async def test_tab_reaches_everything_in_its_order(page: Any, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 700})
    await page.set_input_files("#file", [str(SAMPLES / "garden_podcast.en.srt")])
    await page.wait_for_selector("#transcripts .state:text-is('Ready')")
    await page.wait_for_selector("notification-bell .badge:text-is('1')")
    await page.fill("#query", "watering tomatoes")
    await page.wait_for_selector("#hits mark")
    await page.wait_for_selector(".toast", state="detached")
    await page.locator("#transcripts .row a").click()
    await page.wait_for_selector("#downloads a >> nth=5")
    await page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges()")
    await page.reload()
    for awaited in ("#downloads a >> nth=5", "#transcripts .state", "notification-bell .badge"):
        await page.wait_for_selector(awaited)
    forth = await stops(page, "Tab")
    wrong = [
        (each["name"], fault)
        for each in forth
        for fault in ("labelled", "seen", "inside", "marked")
        if not each[fault]
    ]
    assert not wrong
    names = [each["name"] for each in forth]
    assert len(set(names)) == len(names)
    header = ["Transcript studio", "query", "Status"]
    assert names[: len(header)] == header
    order = [names.index(name) for name in ("query", "file", "archive", "edit", "docx")]
    assert order == sorted(order)
    back = await stops(page, "Shift+Tab", len(forth))
    assert [each["name"] for each in reversed(back)] == names


async def test_by_keyboard_alone(page: Any) -> None:
    await page.set_input_files("#file", [str(SAMPLES / "garden_podcast.en.srt")])
    await page.wait_for_selector("#transcripts .row a")
    await page.locator("#transcripts .row a").focus()
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#edit")  # hidden, it takes no focus
    await page.locator("#edit").focus()
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#edit-title:focus")
    await page.keyboard.press("End")
    await page.keyboard.type(" two")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#reader-title:text-is('garden podcast two')")
    await page.wait_for_selector("#edit:focus")
    # Escape leaves an editor in which nothing was written, and keeps what was
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#edit-title:focus")
    await page.keyboard.press("Escape")
    await page.wait_for_selector("#edit:focus")
    await page.keyboard.press("Enter")
    await page.locator("#edit-segments textarea").first.focus()
    await page.keyboard.type("Well. ")
    await page.keyboard.press("Escape")
    await page.wait_for_selector("#edit-cancel:focus")
    await page.locator("#edit-segments textarea").first.focus()
    await page.keyboard.press("Control+Enter")
    await page.wait_for_selector("#segments li:has-text('Well. ')")
    await page.locator("notification-bell button.bell").focus()
    await page.keyboard.press("Enter")
    await page.wait_for_selector("notification-bell .panel:not([hidden])")
    await page.keyboard.press("Escape")
    await page.wait_for_selector("notification-bell button.bell:focus")
