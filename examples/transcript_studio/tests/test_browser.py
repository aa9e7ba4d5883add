"""The page in headless Chromium, with a real worker process."""

import asyncio
import os
import shutil
import socket
import sys
from importlib.resources import files
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.async_api")
pytestmark = pytest.mark.slow


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


async def test_upload_progress_search_and_download(tmp_path: Path) -> None:
    browser_path, port = chromium(), free_port()
    arguments = ["-m", "transcript_studio", "serve", "--data", str(tmp_path), "--port", str(port)]
    server = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE
    )
    errors: list[str] = []
    try:
        assert server.stdout is not None
        async with asyncio.timeout(30):
            await server.stdout.readline()
        async with playwright.async_playwright() as library:
            browser = await library.chromium.launch(
                executable_path=browser_path, args=["--no-sandbox"]
            )
            page = await browser.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            await _open(page, f"http://127.0.0.1:{port}/")
            samples = files("transcript_studio") / "samples"
            await page.set_input_files("#file", [str(samples / "garden_podcast.en.srt")])
            await page.wait_for_selector(".state.completed", timeout=60_000)
            await page.wait_for_selector("#unread:text-is('1')")
            await page.fill("#query", "watering")
            await page.wait_for_selector("#hits mark")
            await page.locator("#hits a").first.click()
            await page.wait_for_selector("#segments li.here")
            async with page.expect_download() as download:
                await page.locator("#downloads a", has_text="docx").click()
            assert (await download.value).suggested_filename == "garden podcast.docx"
            await browser.close()
    finally:
        server.terminate()
        assert await server.wait() == 0
    assert not errors


async def _open(page: object, url: str) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await page.goto(url)  # type: ignore[attr-defined]  # untyped here
            except playwright.Error:
                await asyncio.sleep(0.2)
            else:
                return
