"""The page in headless Chromium, with a real worker process."""

import asyncio
import os
import shutil
import socket
import sys
import wave
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from audio import wav

from transcript_studio.library import Entry
from transcript_studio.profile import Profile
from transcript_studio.services import build
from transcript_studio.steps import alerting

playwright = pytest.importorskip("playwright.async_api")
pytestmark = pytest.mark.slow
SAMPLES = files("transcript_studio") / "samples"
PATIENCE = 60_000  # milliseconds: a bound, not a pause


def chromium() -> str:
    found = (
        os.environ.get("CHROMIUM_PATH") or shutil.which("chromium") or shutil.which("google-chrome")
    )
    if found is None:
        reason = "no Chromium: set CHROMIUM_PATH or install chromium"
        if os.environ.get("REQUIRE_SERVICES"):
            pytest.fail(reason)
        pytest.skip(reason)
    return str(found)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Studio:
    """``studio serve`` in a process of its own; it can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        arguments = ["serve", "--data", str(self.folder), "--port", str(self.port)]
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "transcript_studio", *arguments, stdout=asyncio.subprocess.PIPE
        )
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            await self.process.stdout.readline()

    async def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        assert await self.process.wait() == 0
        self.process = None


@pytest.fixture
async def studio(tmp_path: Path) -> AsyncIterator[Studio]:
    chromium()
    made = Studio(tmp_path)
    await made.start()
    yield made
    if made.process is not None:
        await made.stop()


@pytest.fixture
async def page(studio: Studio) -> AsyncIterator[Any]:
    """A page of the studio; an exception or a violation of the content policy fails the test."""
    errors: list[str] = []
    async with playwright.async_playwright() as library:
        browser = await library.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = await browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if _is_refused(line) else None)
        await _open(page, studio.url)
        yield page
        await browser.close()
    assert not errors


def _is_refused(line: Any) -> bool:
    return "Content Security Policy" in line.text


async def _open(page: Any, url: str) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await page.goto(url)
            except playwright.Error:
                await asyncio.sleep(0.2)
            else:
                return


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


async def test_a_running_job_is_cancelled_and_taken_up_again(page: Any) -> None:
    with wave.open(str(SAMPLES / "tides_lecture.wav"), "rb") as recording:
        sound = recording.readframes(recording.getnframes())
    # so long that it cannot end before the click
    file = {"name": "long.wav", "mimeType": "audio/wav", "buffer": wav(8 * sound)}
    await page.set_input_files("#file", [file])
    for _ in range(2):
        await page.wait_for_selector("progress-tracker .stage[data-status=processing]")
        await page.locator("progress-tracker footer button").click()
        await page.wait_for_selector("progress-tracker .card[data-status=cancelled]")
        await page.locator("button.retry").click()
        await page.wait_for_selector("progress-tracker .card[data-status=processing]")
    await page.locator("progress-tracker footer button").click()
    await page.wait_for_selector("progress-tracker .card[data-status=cancelled]")


async def test_what_came_while_the_server_was_away_is_caught_up_with(
    studio: Studio, page: Any
) -> None:
    await page.set_input_files("#file", [str(SAMPLES / "workshop_meeting.vtt")])
    await page.wait_for_selector("notification-bell .badge:text-is('1')")
    [user] = [each["value"] for each in await page.context.cookies()]
    await studio.stop()
    await page.wait_for_selector("notification-bell .bell.cut")
    services = build(Profile.embedded(studio.folder))
    missed = Entry("0" * 32, user, "missed.srt", "missed", ".srt")
    await alerting.tell_done(services.notifications, missed, 7)
    await services.aclose()
    await studio.start()
    await page.wait_for_selector("notification-bell .badge:text-is('2')")
    await page.wait_for_selector("notification-bell .bell:not(.cut)")


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


async def test_everything_as_one_zip(page: Any) -> None:
    await page.set_input_files("#file", [str(SAMPLES / "garden_podcast.en.srt")])
    await page.locator("#archive").click()
    async with page.expect_download() as download:
        await page.locator("#archives .link a").click()
    assert (await download.value).suggested_filename == "transcripts.zip"
    await page.wait_for_selector("#archives .link:has-text('works for 10 minutes')")


async def test_a_failure_says_why_and_can_be_tried_again(page: Any) -> None:
    file = {"name": "notes.srt", "mimeType": "text/plain", "buffer": b"no cue in here"}
    await page.set_input_files("#file", [file])
    await page.wait_for_selector("progress-tracker .error:has-text('no cue')")
    await page.locator("button.retry").click()
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
    await page.locator("notification-bell button.bell").focus()
    await page.keyboard.press("Enter")
    await page.wait_for_selector("notification-bell .panel:not([hidden])")
    await page.keyboard.press("Escape")
    await page.wait_for_selector("notification-bell button.bell:focus")
