"""The page's API, without a browser, with the work done in this process."""

import asyncio
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path

import httpx
import pytest

from transcript_studio.services import Services, build
from transcript_studio.steps.working import register
from transcript_studio.web import create_app

SAMPLES = files("transcript_studio") / "samples"


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Services]:
    made = build(tmp_path)
    register(made)
    yield made
    await made.aclose()


def browser(services: Services) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(services))
    return httpx.AsyncClient(
        transport=transport, base_url="http://studio.test", follow_redirects=True
    )


@pytest.fixture
async def page(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(services) as client:
        assert (await client.get("/")).status_code == 200
        yield client


async def send(page: httpx.AsyncClient, name: str, content: bytes) -> httpx.Response:
    return await page.post("/api/transcripts", content=content, headers={"x-file-name": name})


async def worked(services: Services, page: httpx.AsyncClient, name: str) -> str:
    answer = await send(page, name, (SAMPLES / name).read_bytes())
    assert answer.status_code == 201, answer.text
    await services.queue.run_until_idle()
    return str(answer.json()["id"])


async def test_the_whole_way(services: Services, page: httpx.AsyncClient) -> None:
    transcript = await worked(services, page, "garden_podcast.en.srt")
    state = (await page.get(f"/progress/{transcript}")).json()
    assert (state["status"], state["progress"]) == ("completed", 100)
    found = (await page.get(f"/api/transcripts/{transcript}")).json()
    assert found["title"] == "garden podcast"
    hits = (await page.get("/api/search", params={"q": "watering tomato"})).json()
    assert "<mark>" in hits["hits"][0]["html"]
    assert {"speaker", "language"} <= hits["facets"].keys()
    omar = await page.get("/api/search", params={"q": "water", "speaker": "Omar"})
    assert {hit["speaker"] for hit in omar.json()["hits"]} == {"Omar"}
    inbox = (await page.get("/inbox/notifications")).json()
    assert [each["title"] for each in inbox["items"]] == ["Transcript ready"]
    for name, start in (("pdf", b"%PDF"), ("srt", b"1\n"), ("docx", b"PK"), ("vtt", b"WEBVTT")):
        file = await page.get(f"/api/transcripts/{transcript}/export/{name}")
        assert file.status_code == 200, file.text
        assert file.content.startswith(start)
        assert f"garden podcast.{name}" in file.headers["content-disposition"]
    assert (await page.get("/api/archive")).content.startswith(b"PK")


async def test_others_see_nothing(services: Services, page: httpx.AsyncClient) -> None:
    transcript = await worked(services, page, "workshop_meeting.vtt")
    async with browser(services) as stranger:
        assert (await stranger.get("/api/transcripts")).status_code == 401
        await stranger.get("/")
        assert (await stranger.get("/api/transcripts")).json() == []
        for path in ("", "/export/pdf"):
            assert (await stranger.get(f"/api/transcripts/{transcript}{path}")).status_code == 404
        assert (await stranger.get(f"/progress/{transcript}")).status_code == 404
        assert (await stranger.get("/api/search", params={"q": "meeting"})).json()["hits"] == []
        assert (await stranger.get("/inbox/notifications")).json()["items"] == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.wav", b"", "empty"),
        ("photo.png", b"\x89PNG", "no recording or transcript"),
        ("../../%F0%9F%98%80.exe", b"MZ", "no recording or transcript"),
        ("", b"x", "no recording or transcript"),
    ],
)
async def test_uploads_that_are_refused(
    services: Services, page: httpx.AsyncClient, name: str, content: bytes, message: str
) -> None:
    answer = await send(page, name, content)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    assert not list((services.folder / "library").rglob("upload*"))


@pytest.mark.parametrize("name", ["not_a.wav", "..%2F..%2F%F0%9F%98%80.wav", "broken.json"])
async def test_uploads_that_cannot_be_read_fail_kindly(
    services: Services, page: httpx.AsyncClient, name: str
) -> None:
    answer = await send(page, name, b"this is neither")
    assert answer.status_code == 201
    await services.queue.run_until_idle()
    transcript = answer.json()["id"]
    state = (await page.get(f"/progress/{transcript}")).json()
    assert state["status"] == "failed"
    [note] = (await page.get("/inbox/notifications")).json()["items"]
    assert note["title"] == "Transcript failed"
    assert (await page.get(f"/api/transcripts/{transcript}")).status_code == 404


async def test_a_cancelled_upload_stops(services: Services, page: httpx.AsyncClient) -> None:
    recording = (SAMPLES / "tides_lecture.wav").read_bytes()
    transcript = (await send(page, "tides.wav", recording)).json()["id"]
    work = asyncio.create_task(services.queue.run_until_idle())
    async with asyncio.timeout(60):
        while (await page.get(f"/progress/{transcript}")).json().get("stage") != "transcribe":
            await asyncio.sleep(0.05)
    assert (await page.post(f"/progress/{transcript}/cancel")).status_code < 300
    async with asyncio.timeout(60):
        await work
    assert (await page.get(f"/progress/{transcript}")).json()["status"] == "cancelled"
    job = await services.queue.get_job(transcript)
    assert job is not None
    assert job.status == "cancelled"
    assert (await page.post(f"/api/jobs/{transcript}/retry")).status_code == 202


async def test_a_failed_job_is_retried(services: Services, page: httpx.AsyncClient) -> None:
    made = (await send(page, "notes.srt", b"no cue in here")).json()["id"]
    await services.queue.run_until_idle()
    assert (await services.queue.get_stats()).failed == 1
    async with browser(services) as stranger:
        await stranger.get("/")
        assert (await stranger.post(f"/api/jobs/{made}/retry")).status_code == 404
    entry = services.library.entry(made)
    assert entry is not None
    repaired = (SAMPLES / "garden_podcast.en.srt").read_bytes()
    services.library.upload_path(entry).write_bytes(repaired)
    assert (await page.post(f"/api/jobs/{made}/retry")).status_code == 202
    assert (await page.get(f"/progress/{made}")).json()["status"] == "pending"
    await services.queue.run_until_idle()
    assert (await page.get(f"/progress/{made}")).json()["status"] == "completed"
    inbox = (await page.get("/inbox/notifications")).json()["items"]
    assert [each["title"] for each in inbox] == ["Transcript ready", "Transcript failed"]
    assert (await page.post(f"/api/jobs/{made}/retry")).status_code == 409


async def test_each_failure_is_told(services: Services, page: httpx.AsyncClient) -> None:
    made = (await send(page, "notes.srt", b"no cue in here")).json()["id"]
    await services.queue.run_until_idle()
    assert (await page.post(f"/api/jobs/{made}/retry")).status_code == 202
    await services.queue.run_until_idle()
    assert (await page.get("/inbox/notifications")).json()["unread"] == 2


async def test_pages_of_other_sites_change_nothing(page: httpx.AsyncClient) -> None:
    answer = await page.post(
        "/api/transcripts",
        content=b"x",
        headers={"origin": "https://evil.example", "x-file-name": "a.txt"},
    )
    assert answer.status_code == 403
    assert "frame-ancestors 'none'" in (await page.get("/")).headers["content-security-policy"]
    assert (await page.get("/static/../web.py")).status_code == 404
