"""What the page does for those who click twice, go back, drop beside the field or use two tabs."""

import asyncio
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import pytest
import pytest_asyncio
from pages import fresh_page, listed, ready, sound
from studio_process import Studio, api, running, until

from _common.browser import chromium
from transcript_studio.profile import Profile

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
SAMPLES = files("transcript_studio") / "samples"
GARDEN = str(SAMPLES / "garden_podcast.en.srt")
BAD = {"name": "notes.srt", "mimeType": "text/plain", "buffer": b"no cue in here"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(shared_profile: Profile) -> AsyncIterator[Studio]:
    chromium()
    async with running(shared_profile) as made:
        yield made


def asked(page: Any, method: str, part: str) -> list[str]:
    """Return what fills with the requests of a page that are of a kind."""
    found: list[str] = []

    def note(request: Any) -> None:
        if request.method == method and part in request.url:
            found.append(request.url)

    page.on("request", note)
    return found


async def test_two_clicks_are_one_wish(studio: Studio, page: Any) -> None:
    studio.gate.let(1)
    await page.locator("#samples").dblclick()
    await page.wait_for_selector("#transcripts .state:text-is('Ready') >> nth=1")
    assert len(await listed(page, studio.url)) == 2
    archives = asked(page, "POST", "/api/archives")
    await page.locator("#archive").dblclick()
    await page.wait_for_selector("#archives .link a")
    await page.locator("#archive").click()  # it can be asked for again
    await until(lambda: len(archives) == 2)
    await page.wait_for_selector("#archive[aria-disabled=false]")
    await page.locator("#transcripts .row a").first.click()
    await page.locator("#edit").dblclick()
    await page.fill("#edit-title", "Vegetables")
    edits = asked(page, "PATCH", "/api/transcripts/")
    await page.locator("#editor button:text-is('Save')").evaluate("b => { b.click(); b.click(); }")
    await page.wait_for_selector("#reader-title:text-is('Vegetables')")
    assert len(edits) == 1


async def test_two_clicks_begin_a_job_once(studio: Studio, page: Any) -> None:
    await page.set_input_files("#file", [sound("waves.wav")])
    await page.wait_for_selector("progress-tracker .stage[data-status=processing]")
    await page.locator("progress-tracker footer button").dblclick()
    await page.wait_for_selector("progress-tracker .card[data-status=cancelled]")
    [entry] = await listed(page, studio.url)
    await studio.ended(entry["id"], "cancelled")
    retries = asked(page, "POST", "/retry")
    # before it is seen to have begun, the button is gone: a second click would be refused
    await page.locator("progress-tracker").evaluate("e => e.client.close()")
    await page.locator(".retry button").dblclick()
    await page.locator(".retry").wait_for(state="hidden")
    await page.reload()
    await page.wait_for_selector("progress-tracker .stage[data-status=processing]")
    assert len(retries) == 1
    studio.gate.let(1)
    await page.wait_for_selector("#transcripts .state:text-is('Ready')")


async def test_the_focus_stays_where_something_was_pressed(studio: Studio, page: Any) -> None:
    at = "document.activeElement.closest('button, li')?.id"
    await page.set_input_files("#file", [BAD])
    await page.locator(".retry:visible button").wait_for()
    [entry] = await listed(page, studio.url)
    await studio.ended(entry["id"], "failed")
    entered = asked(page, "POST", "/retry")
    await page.locator(".retry button").press("Enter")
    await page.wait_for_selector("notification-bell .badge:text-is('2')")  # it has failed again
    assert (len(entered), await page.evaluate(at)) == (1, f"t-{entry['id']}")
    await ready(page, GARDEN)
    await page.locator("#archive").press("Enter")
    await page.wait_for_selector("#archives .link a")
    assert await page.evaluate(at) == "archive"


async def test_a_retry_that_is_refused_says_so_where_it_was_asked_for(page: Any) -> None:
    await page.set_input_files("#file", [BAD])
    await page.locator(".retry:visible button").wait_for()
    await page.route("**/retry", lambda route: route.abort())
    await page.locator(".retry:visible button").click()
    await page.wait_for_selector(".retry .bad:has-text('cannot be reached')")
    assert await page.locator("#problem").is_hidden()


async def test_back_and_forward(page: Any) -> None:
    second, first = await ready(page, GARDEN, str(SAMPLES / "support_call.json"))
    await page.locator(f"#t-{first} .row a").click()
    await page.wait_for_selector("#reader-title:text-is('garden podcast')")
    await page.locator(f"#t-{second} .row a").click()
    await page.wait_for_selector("#reader-title:text-is('support call')")
    await page.go_back()
    await page.wait_for_selector("#reader-title:text-is('garden podcast')")
    await page.go_back()
    await page.wait_for_selector("#reader", state="hidden")
    await page.go_forward()
    await page.wait_for_selector("#reader-title:text-is('garden podcast')")


async def test_what_is_not_saved_is_not_lost_by_a_click(page: Any) -> None:
    second, first = await ready(page, GARDEN, str(SAMPLES / "support_call.json"))
    said: list[str] = []
    answers = [False, True]

    async def answer(dialog: Any) -> None:
        said.append(dialog.type)
        await (dialog.accept() if answers.pop(0) else dialog.dismiss())

    page.on("dialog", answer)
    await page.locator(f"#t-{first} .row a").click()
    await page.locator("#edit").click()
    text = page.locator("#edit-segments textarea").first
    await text.fill("Well.")
    # its bar may begin late, or the last stage be tried again: whoever writes is not disturbed
    bar = page.locator(f"#t-{first} progress-tracker")
    await bar.evaluate("e => e.dispatchEvent(new CustomEvent('end', { detail: {} }))")
    await page.locator(f"#t-{second} .row a").click()
    await until(lambda: said == ["confirm"])
    await page.wait_for_url(f"**/#{first}")
    assert await text.input_value() == "Well."
    await page.locator(f"#t-{second} .row a").click()
    await page.wait_for_selector("#reader-title:text-is('support call')")
    assert said == ["confirm", "confirm"]
    await page.locator("#edit").click()
    await page.locator("#edit-segments textarea").first.fill("Well.")
    answers.append(True)
    await page.locator("header nav a").click()
    await page.wait_for_selector("#cards .figures")
    assert said[2:] == ["beforeunload"]


async def test_two_tabs_edit_one_transcript(studio: Studio, page: Any) -> None:
    [id] = await ready(page, GARDEN)
    other = await page.context.new_page()
    for each in (page, other):
        await each.goto(f"{studio.url}#{id}")
        await each.locator("#edit").click()
    await page.fill("#edit-title", "Vegetables")
    await page.locator("#edit-segments textarea").nth(1).fill("Omar is with us.")
    await page.locator("#editor button:text-is('Save')").click()
    await page.wait_for_selector("#reader-title:text-is('Vegetables')")
    await other.locator("#edit-segments textarea").first.fill("Hello.")
    await other.fill("#edit-speakers input[aria-label='Name of Omar']", "Omer")
    await other.locator("#editor button:text-is('Save')").click()
    await other.wait_for_selector("#edit-problem:has-text('Somebody has changed')")
    # nothing that was written is lost, neither here nor there
    assert await other.locator("#edit-title").input_value() == "Vegetables"
    texts = await other.locator("#edit-segments textarea").evaluate_all(
        "all => all.map(e => e.value)"
    )
    assert texts[:2] == ["Hello.", "Omar is with us."]
    await other.locator("#editor button:text-is('Save')").click()
    await other.wait_for_selector("#edit:focus")
    found = await api(other, f"{studio.url}api/transcripts/{id}")
    assert found["title"] == "Vegetables"
    assert [each["text"] for each in found["segments"][:2]] == ["Hello.", "Omar is with us."]
    assert {each["speaker"] for each in found["segments"]} == {"Ruth", "Omer"}


DROP = """() => {
  const data = new DataTransfer();
  data.items.add(new File(["Hello there."], "hello.txt"));
  const drop = new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
  document.querySelector("h2").dispatchEvent(drop);
  return drop.defaultPrevented;
}"""


async def test_a_file_may_fall_anywhere(page: Any) -> None:
    assert await page.evaluate(DROP)  # else the browser would open it in place of the page
    await page.wait_for_selector("#transcripts .row:has-text('hello') .state:text-is('Ready')")


async def test_what_is_wrong_with_files_is_said_of_each(page: Any) -> None:
    kinds = {"nothing.wav": b"", "later.wav": b"", "program.exe": b"x"}
    bad = [{"name": name, "mimeType": "", "buffer": data} for name, data in kinds.items()]
    chosen = asyncio.Event()

    async def hold(route: Any) -> None:
        if route.request.headers["x-file-name"] == "later.wav":
            await chosen.wait()
        await route.continue_()

    await page.route("**/api/transcripts", hold)
    await page.set_input_files("#file", bad[:2])
    await page.wait_for_selector("#problem:has-text('nothing.wav: the file is empty')")
    await page.set_input_files("#file", bad[2:])  # while the second is on its way
    chosen.set()
    await page.wait_for_selector("#problem:has-text('program.exe: ')")
    for name in ("nothing.wav", "later.wav"):
        assert f"{name}: the file is empty" in await page.inner_text("#problem")
    await page.wait_for_selector("#sending", state="hidden")


async def test_whose_scripts_are_off_is_told(studio: Studio, browser: Any) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    for path in ("", "status"):
        await page.goto(f"{studio.url}{path}")
        assert "need" in await page.locator("noscript").inner_text()
    await context.close()


async def test_nothing_among_what_was_narrowed_to_is_not_nothing(page: Any) -> None:
    await ready(page, GARDEN)
    await page.fill("#query", "watering")
    await page.locator("#facets button", has_text="Omar").click()
    await page.fill("#query", "zeppelin")
    await page.wait_for_selector("#found:has-text('in what you narrowed to. Press it again')")
    await page.locator("#facets button", has_text="Omar").click()
    await page.wait_for_selector("#found:has-text('Nothing was said about that')")


async def test_a_part_of_what_was_found_is_called_so(page: Any) -> None:
    spoken = "".join(f"Ada: Watering {number}.\n" for number in range(30)).encode()
    await page.set_input_files("#file", [{"name": "all.txt", "mimeType": "", "buffer": spoken}])
    await page.wait_for_selector("#transcripts .state:text-is('Ready')")
    await page.fill("#query", "watering")
    await page.wait_for_selector("#found:text-is('The best 20 passages for “watering”')")


ENDS = """id => {
  const text = document.querySelector(id).lastChild, one = document.createRange();
  return [0, text.length - 1].map(at => {
    one.setStart(text, at);
    one.setEnd(text, at + 1);
    return one.getBoundingClientRect().left;
  });
}"""


async def test_any_writing_has_its_place(page: Any) -> None:
    """A word longer than the page is broken; a full stop ends a line in the line's direction."""
    texts = {"long.txt": "w" * 3000, "hebrew.txt": "שלום לכולם."}
    await page.set_viewport_size({"width": 390, "height": 800})
    for name, text in texts.items():
        one = {"name": name, "mimeType": "text/plain", "buffer": text.encode()}
        await page.set_input_files("#file", [one])
        await page.locator("#transcripts .row a", has_text=name.removesuffix(".txt")).click()
        await page.wait_for_selector(f"#segments div:has-text('{text[:9]}')")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    first, last = await page.evaluate(ENDS, "#segments li div")
    assert last < first


async def test_a_name_begins_with_what_is_seen(page: Any) -> None:
    """Else who speaks to the browser says a word that is on the button, and nothing happens."""
    await ready(page, GARDEN)
    await page.set_input_files("#file", [BAD])
    await page.locator(".retry:visible button").wait_for()
    await page.fill("#query", "watering")
    await page.wait_for_selector("#hits mark")
    named = await page.locator("main button[aria-label]:visible").evaluate_all(
        "all => all.filter(e => e.innerText.trim()).map(e => [e.ariaLabel, e.innerText.trim()])"
    )
    assert {seen for _, seen in named} >= {"More like this", "Try again"}
    assert [pair for pair in named if not pair[0].startswith(pair[1])] == []


async def test_a_passage_in_a_tab_of_its_own(studio: Studio, browser: Any) -> None:
    async with fresh_page(browser) as page:
        await page.goto(studio.url)
        await ready(page, GARDEN)
        await page.fill("#query", "watering")
        await page.wait_for_selector("#hits mark")
        async with page.context.expect_page() as opened:
            await page.locator("#hits a").first.click(modifiers=["ControlOrMeta"])
        await (await opened.value).wait_for_selector("#segments li")
        assert await page.locator("#reader").is_hidden()
