"""The page's API, without a browser, with the work done in this process."""

import asyncio
import dataclasses
import io
import os
import threading
import time
import zipfile
from collections.abc import AsyncIterator, Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import httpx
import pytest

import jobqueue
import progress_tracker
import semsearch
import tiered_cache
from exporter import ExportOptions, ExportSource, StorageError
from exporter.testing import FakeClock
from transcript_studio.errors import Interrupted
from transcript_studio.profile import Profile
from transcript_studio.services import Services, build
from transcript_studio.steps import archiving, exporting, finding, tracking, working
from transcript_studio.steps.working import register
from transcript_studio.transcript import Transcript
from transcript_studio.transcription.port import Transcriber
from transcript_studio.web import create_app

SAMPLES = files("transcript_studio") / "samples"
NOTHING: dict[str, Any] = {"items": [], "nextCursor": None}


@pytest.fixture
async def services(profile: Profile) -> AsyncIterator[Services]:
    made = build(profile)
    await made.setup()
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


async def job_status(services: Services, id: str) -> str:
    job = await services.queue.get_job(id)
    assert job is not None
    return job.status


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


async def test_others_see_nothing(services: Services, page: httpx.AsyncClient) -> None:
    transcript = await worked(services, page, "workshop_meeting.vtt")
    async with browser(services) as stranger:
        assert (await stranger.get("/api/transcripts")).status_code == 401
        await stranger.get("/")
        assert (await stranger.get("/api/transcripts")).json() == NOTHING
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
    assert not list((services.profile.folder / "library").rglob("upload*"))


async def test_a_long_name_is_read_as_what_it_is(
    services: Services, page: httpx.AsyncClient
) -> None:
    """A file may have 255 characters in its name where it comes from."""
    answer = await send(page, "x" * 248 + ".en.txt", b"Water the garden.")
    assert answer.status_code == 201
    await services.queue.run_until_idle()
    found = (await page.get(f"/api/transcripts/{answer.json()['id']}")).json()
    assert (found["title"], found["language"]) == ("x" * 120, "en")


async def test_whether_more_was_found_than_is_shown(
    services: Services, page: httpx.AsyncClient
) -> None:
    spoken = "".join(f"Ada: Watering {number}.\n" for number in range(30))
    for name, content, more in (("few.txt", b"Bread.", False), ("all.txt", spoken.encode(), True)):
        await send(page, name, content)
        await services.queue.run_until_idle()
        text = {"few.txt": "bread", "all.txt": "watering"}[name]
        assert (await page.get("/api/search", params={"q": text})).json()["more"] is more


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


async def test_a_failure_that_nobody_foresaw_is_told(
    services: Services, page: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_: Any) -> NoReturn:
        raise RuntimeError("the index has no room for that")

    made = (await send(page, "talk.srt", (SAMPLES / "garden_podcast.en.srt").read_bytes())).json()
    with monkeypatch.context() as patch:
        patch.setattr(type(services.search), "index_batch", staticmethod(failing))
        await services.queue.run_until_idle()
    [note] = (await page.get("/inbox/notifications")).json()["items"]
    assert (note["title"], "no room" in note["message"]) == ("Transcript failed", True)
    assert (await page.post(f"/api/jobs/{made['id']}/retry")).status_code == 202


async def test_transcripts_outlive_their_progress(
    services: Services, page: httpx.AsyncClient
) -> None:
    made = await worked(services, page, "garden_podcast.en.srt")
    assert await services.tracker.delete(made)  # as the tracker does by itself after a day
    listed = [{"id": made, "title": "garden podcast", "ready": True}]
    assert (await page.get("/api/transcripts")).json()["items"] == listed
    assert (await page.get(f"/api/transcripts/{made}")).status_code == 200
    assert (await page.post(f"/api/jobs/{made}/retry")).status_code == 409


async def test_the_list_is_given_in_pages(services: Services, page: httpx.AsyncClient) -> None:
    sent = [(await send(page, f"{number}.srt", b"x")).json()["id"] for number in range(5)]
    found: list[str] = []
    query = {"limit": "2"}
    while True:
        answer = (await page.get("/api/transcripts", params=query)).json()
        found += [each["id"] for each in answer["items"]]
        if answer["nextCursor"] is None:
            break
        query["cursor"] = answer["nextCursor"]
    assert found == sent[::-1]
    async with browser(services) as stranger:
        await stranger.get("/")
        assert (await stranger.get("/api/transcripts", params=query)).json() == NOTHING


@pytest.mark.parametrize(
    "query", [*(f"limit={each}" for each in ("0", "201", "-1", "x", "", "9" * 5000)), "cursor=x"]
)
async def test_a_page_of_the_list_that_is_none(page: httpx.AsyncClient, query: str) -> None:
    answer = await page.get(f"/api/transcripts?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]


async def test_a_file_that_retention_removed_is_made_anew(
    services: Services, page: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await worked(services, page, "garden_podcast.en.srt")
    monkeypatch.setattr(services.exports, "clock", FakeClock(time.time() + 30 * 86_400))
    assert await services.exports.cleanup() == len(exporting.FORMATS)
    file = await page.get(f"/api/transcripts/{made}/export/pdf")
    assert (file.status_code, file.content[:4]) == (200, b"%PDF"), file.text


@pytest.mark.parametrize("is_queued", [True, False])
async def test_an_upload_without_progress_is_begun_anew(
    services: Services, page: httpx.AsyncClient, is_queued: bool
) -> None:
    """As it is a week after a failure, or where a web process died in the middle of an upload."""
    made = (await send(page, "notes.srt", b"no cue in here")).json()["id"]
    if is_queued:
        await services.queue.run_until_idle()
    else:
        await services.queue.cancel_job(made)
        assert await services.queue.remove_job(made)
    assert await services.tracker.delete(made)
    entry = services.library.entry(made)
    assert entry is not None
    repaired = (SAMPLES / "garden_podcast.en.srt").read_bytes()
    services.library.upload_path(entry).write_bytes(repaired)
    async with browser(services) as stranger:
        await stranger.get("/")
        assert (await stranger.post(f"/api/jobs/{made}/retry")).status_code == 404
    assert (await page.post(f"/api/jobs/{made}/retry")).status_code == 202
    assert (await page.post(f"/api/jobs/{made}/retry")).status_code == 409
    await services.queue.run_until_idle()
    assert (await page.get(f"/progress/{made}")).json()["status"] == "completed"


async def test_a_failure_calls_the_file_by_its_owners_name(
    services: Services, page: httpx.AsyncClient
) -> None:
    made = (await send(page, "my%20talk.wav", b"ID3")).json()["id"]
    waiting = (await page.get(f"/progress/{made}")).json()
    assert (waiting["status"], waiting["message"]) == ("processing", "waiting for a worker")
    await services.queue.run_until_idle()
    failed = (await page.get(f"/progress/{made}")).json()
    assert failed["error"]["message"].startswith("'my talk.wav' is not a WAV file")


async def test_samples_are_given_for_a_first_try(page: httpx.AsyncClient) -> None:
    for name in ("product_meeting.wav", "garden_podcast.en.srt"):
        assert (await page.get(f"/samples/{name}")).content == (SAMPLES / name).read_bytes()
    for name in ("README.md", "none.wav", "../web.py", "..%2Fwav.py"):
        assert (await page.get(f"/samples/{name}")).status_code == 404


async def test_each_failure_is_told(services: Services, page: httpx.AsyncClient) -> None:
    made = (await send(page, "notes.srt", b"no cue in here")).json()["id"]
    await services.queue.run_until_idle()
    assert (await page.post(f"/api/jobs/{made}/retry")).status_code == 202
    await services.queue.run_until_idle()
    assert (await page.get("/inbox/notifications")).json()["unread"] == 2


async def hits(page: httpx.AsyncClient, text: str, **filters: str) -> list[dict[str, Any]]:
    found = (await page.get("/api/search", params={"q": text, **filters})).json()["hits"]
    return [hit for hit in found if hit["html"] and "<mark>" in hit["html"]]


async def test_an_edit_is_seen_everywhere(services: Services, page: httpx.AsyncClient) -> None:
    made = await worked(services, page, "garden_podcast.en.srt")
    url = f"/api/transcripts/{made}"
    found = (await page.get(url)).json()
    assert "zucchini" not in (await page.get(f"{url}/export/txt")).text
    other = build(services.profile)  # as another process has it
    assert (await other.reader.read(made) or {})["title"] == "garden podcast"

    edit = {
        "revision": found["revision"],
        "title": "Vegetables",
        "texts": {"0": "Today we speak of zucchini."},
        "speakers": {"Omar": "Omer"},
    }
    answer = await page.patch(url, json=edit)
    assert answer.status_code == 200, answer.text
    assert answer.json()["title"] == "Vegetables"
    assert (await page.get(url)).json() == answer.json()
    async with asyncio.timeout(30):
        # the other process is told by its backplane
        while (await other.reader.read(made) or {})["title"] != "Vegetables":
            await asyncio.sleep(0.02)
    await other.aclose()

    await services.queue.run_until_idle()
    [hit] = await hits(page, "zucchini")
    assert hit["title"] == "Vegetables"
    assert await hits(page, "water", speaker="Omer")
    assert not await hits(page, "water", speaker="Omar")
    [listed] = (await page.get("/api/transcripts")).json()["items"]
    assert (listed["id"], listed["title"]) == (made, "Vegetables")
    file = await page.get(f"{url}/export/txt")
    assert "zucchini" in file.text
    assert "Omar" not in file.text.replace("Omar,", "")
    assert "Vegetables.txt" in file.headers["content-disposition"]


async def test_an_edit_is_indexed_though_a_server_went_away(
    services: Services, page: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await worked(services, page, "garden_podcast.en.srt")
    url = f"/api/transcripts/{made}"
    edit = {"revision": (await page.get(url)).json()["revision"], "title": "Vegetables"}

    async def failing(*_: Any) -> NoReturn:
        raise tiered_cache.BackendError("the server does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(type(services.cache), "invalidate", staticmethod(failing))
        assert (await page.patch(url, json=edit)).status_code == 200
    await services.queue.run_until_idle(advance=working.EDITING)
    assert {hit["title"] for hit in await hits(page, "water")} == {"Vegetables"}
    assert (await page.get(url)).json()["title"] == "Vegetables"


async def test_edits_that_are_refused(services: Services, page: httpx.AsyncClient) -> None:
    made = await worked(services, page, "garden_podcast.en.srt")
    url = f"/api/transcripts/{made}"
    before = (await page.get(url)).json()
    revision = before["revision"]
    for body, status in (
        ({"revision": "0" * 16, "title": "x"}, 409),
        ({"revision": revision, "title": " "}, 400),
        ({"revision": revision, "texts": {"99": "x"}}, 400),
        ({"revision": revision, "texts": {"one": "x"}}, 400),
        ({"revision": revision, "nothing": 1}, 400),
        ({"title": "x"}, 400),
    ):
        answer = await page.patch(url, json=body)
        assert (answer.status_code, bool(answer.json()["error"])) == (status, True), body
    async with browser(services) as stranger:
        await stranger.get("/")
        answer = await stranger.patch(url, json={"revision": revision, "title": "x"})
        assert answer.status_code == 404
    assert (await page.get(url)).json() == before


async def test_a_shorter_transcript_leaves_no_segment_behind(
    services: Services, page: httpx.AsyncClient
) -> None:
    made = await worked(services, page, "garden_podcast.en.srt")
    entry, whole = services.library.entry(made), services.library.load(made)
    assert entry is not None
    assert whole is not None
    kept = (whole.segments[0], dataclasses.replace(whole.segments[1], text=" "), whole.segments[2])
    shorter = dataclasses.replace(whole, segments=kept)
    assert await finding.index(services.search, entry, shorter) == 2
    assert await services.search.count({"transcript": made}) == 2
    assert await finding.index(services.search, entry, dataclasses.replace(whole, segments=())) == 0
    assert await services.search.count({"transcript": made}) == 0


async def test_anything_may_be_searched_for(services: Services, page: httpx.AsyncClient) -> None:
    await worked(services, page, "garden_podcast.en.srt")
    odd = (
        "😀",
        '"',
        "'",
        '"watering',
        "%",
        "_",
        "*",
        "(",
        "' OR 1=1 --",
        "a" * 3000,
        "\x00",
        "&|!:*",
    )
    for text in odd:
        for query in ({"q": text}, {"q": "watering", "speaker": text[:100]}):
            answer = await page.get("/api/search", params=query)
            assert answer.status_code == 200, (query, answer.text)


async def test_more_like_this(services: Services, page: httpx.AsyncClient) -> None:
    await worked(services, page, "garden_podcast.en.srt")
    await worked(services, page, "support_call.json")
    [first, *_] = await hits(page, "watering")
    found = (await page.get(f"/api/similar/{first['id']}")).json()["hits"]
    assert found
    assert first["id"] not in {hit["id"] for hit in found}
    assert found[0]["title"] == "garden podcast"
    async with browser(services) as stranger:
        await stranger.get("/")
        assert (await stranger.get(f"/api/similar/{first['id']}")).json() == {"hits": []}
        assert (await stranger.get("/api/similar/unknown")).json() == {"hits": []}


async def test_a_file_that_was_not_made_is_made_anew(
    services: Services, page: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await worked(services, page, "garden_podcast.en.srt")
    entry = services.library.entry(made)
    assert entry is not None
    with monkeypatch.context() as patch:
        patch.setattr(services.exports.storage, "open_writer", _full)
        job = await exporting.export(services.exports, entry, "md", revision="1")
    assert job.status == "failed"
    held = threading.Event()

    def waiting(*_: object) -> NoReturn:
        held.wait(60)
        raise StorageError("this process was stopped")

    with monkeypatch.context() as patch:
        patch.setattr(services.exports.storage, "open_writer", waiting)
        job = await services.exports.export(
            ExportSource("transcript", made),
            "md",
            ExportOptions(filename=entry.title),
            user_id=entry.user_id,
            idempotency_key=f"{made}:md:2",
        )
        assert await services.exports.cancel(job.id)
        held.set()
        await services.exports.wait(job.id)
    for revision in ("1", "2"):
        job = await exporting.export(services.exports, entry, "md", revision=revision)
        again = await exporting.export(services.exports, entry, "md", revision=revision)
        assert (job.status, again.id) == ("completed", job.id)


UNFIT = 'Q3: what\'s next? <b>"A|B"</b> *'  # a title as people write it, and no file's name


@pytest.mark.parametrize("title", [UNFIT, "CON", "😀" * 120, ".hidden."])
async def test_any_title_becomes_a_file_name(
    services: Services, page: httpx.AsyncClient, title: str
) -> None:
    made = await worked(services, page, "garden_podcast.en.srt")
    found = (await page.get(f"/api/transcripts/{made}")).json()
    change = {"revision": found["revision"], "title": title}
    assert (await page.patch(f"/api/transcripts/{made}", json=change)).status_code == 200
    file = await page.get(f"/api/transcripts/{made}/export/srt")
    assert (file.status_code, file.content[:2]) == (200, b"1\n"), file.text
    archive = (await page.post("/api/archives")).json()["id"]
    await services.queue.run_until_idle()
    assert (await page.get(f"/progress/{archive}")).json()["status"] == "completed"


async def test_a_file_may_be_called_anything(services: Services, page: httpx.AsyncClient) -> None:
    name = quote(f"../../{UNFIT}.srt")
    made = (
        await send(page, name, b"1\n00:00:00,000 --> 00:00:02,000\n<script>hi</script>\n")
    ).json()
    await services.queue.run_until_idle()
    assert (await page.get(f"/progress/{made['id']}")).json()["status"] == "completed"
    assert not list(services.profile.folder.parent.glob("*Q3*"))
    [note] = (await page.get("/inbox/notifications")).json()["items"]
    assert note["message"].endswith("1 segment.")


async def test_all_in_one_zip(services: Services, page: httpx.AsyncClient) -> None:
    assert (await page.post("/api/archives")).status_code == 404
    for name in ("garden_podcast.en.srt", "support_call.json"):
        await worked(services, page, name)
    made = (await page.post("/api/archives")).json()["id"]
    assert (await page.get(f"/api/archives/{made}")).status_code == 404
    assert (await page.get(f"/progress/{made}")).json()["status"] == "pending"
    await services.queue.run_until_idle()
    assert (await page.get(f"/progress/{made}")).json()["progress"] == 100
    link = (await page.get(f"/api/archives/{made}")).json()
    file = await page.get(link["url"])
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    assert (len(file.content), len(names)) == (link["size"], 2 * len(archiving.FORMATS) + 1)
    [note, *_] = (await page.get("/inbox/notifications")).json()["items"]
    assert note["title"] == "Archive ready"
    assert (await page.get(note["actionUrl"])).content == file.content
    async with browser(services) as stranger:
        await stranger.get("/")
        for path in (f"/api/archives/{made}", f"/archives/{made}", link["url"]):
            assert (await stranger.get(path)).status_code in {403, 404}


def _full(*_: object) -> NoReturn:
    raise StorageError("no space left on device")


async def _broken(*_: object, **__: object) -> NoReturn:
    raise RuntimeError("nobody foresaw this")


async def test_whoever_follows_a_link_is_told_on_a_page(
    services: Services, page: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await worked(services, page, "garden_podcast.en.srt")
    link, follows = f"/api/transcripts/{made}/export/md", {"accept": "text/html,*/*;q=0.8"}
    with monkeypatch.context() as patch:
        patch.setattr(services.exports.storage, "open_writer", _full)
        full = await page.get(link, headers=follows)
        asked = await page.get(link)
    assert (full.status_code, full.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert "no space left" in full.text
    assert "no space left" in asked.json()["error"]
    assert (await page.get(link, headers=follows)).status_code == 200
    gone = await page.get("/archives/<script>", headers=follows)
    assert (gone.status_code, "not any more" in gone.text) == (404, True)
    async with browser(services) as stranger:
        told = (await stranger.get("/api/transcripts")).json()["error"]
    assert "cookies" in told
    transport = httpx.ASGITransport(create_app(services), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://studio.test") as client:
        client.cookies.update(page.cookies)
        monkeypatch.setattr(type(services.search), "search", staticmethod(_broken))
        broken = await client.get("/api/search?q=x")
    assert (broken.status_code, "in its log" in broken.json()["error"]) == (500, True)
    large = {"content-length": str(600 << 20), "x-file-name": "talk.wav"}
    answer = await page.post("/api/transcripts", content=b"", headers=large)
    assert (answer.status_code, "500 MB" in answer.json()["error"]) == (413, True)


async def test_a_zip_that_fails_is_retried(
    services: Services, page: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await worked(services, page, "garden_podcast.en.srt")
    made = (await page.post("/api/archives")).json()["id"]
    with monkeypatch.context() as patch:
        patch.setattr(services.exports.storage, "open_writer", _full)
        await services.queue.run_until_idle()
    state = (await page.get(f"/progress/{made}")).json()
    assert state["status"] == "failed"
    assert (await page.post(f"/api/jobs/{made}/retry")).status_code == 202
    await services.queue.run_until_idle()
    assert (await page.get(f"/archives/{made}")).content.startswith(b"PK")


async def test_status(services: Services, page: httpx.AsyncClient) -> None:
    before = (await page.get("/api/status")).json()
    assert (before["queue"]["waiting"], before["search"]["segments"]) == (0, 0)
    made = await worked(services, page, "garden_podcast.en.srt")
    await page.get(f"/api/transcripts/{made}")
    for _ in range(3):
        await page.get(f"/api/transcripts/{made}")
    await send(page, "notes.srt", b"no cue in here")
    await services.queue.run_until_idle()
    await send(page, "waits.txt", b"not yet")
    now = (await page.get("/api/status")).json()
    assert now["cache"]["hits"] == before["cache"]["hits"] + 3
    assert 0 < now["cache"]["hit_rate"] < 1
    queue = now["queue"]
    assert (queue["waiting"], queue["completed"], queue["failed"]) == (1, 1, 1)
    assert now["latencies"]["jobs"] == 2
    assert now["latencies"]["run_p95"] > 0
    assert now["search"]["segments"] == 16
    assert now["exports"]["completed"] == 4
    assert [each["pid"] for each in now["processes"]] == [os.getpid()]
    assert "notification-bell" in (await page.get("/status")).text
    async with browser(services) as stranger:
        assert (await stranger.get("/api/status")).status_code == 401


async def test_a_cancel_that_no_worker_heard_of_holds(
    services: Services, page: httpx.AsyncClient
) -> None:
    made = (await send(page, "talk.srt", (SAMPLES / "garden_podcast.en.srt").read_bytes())).json()
    entry = services.library.entry(made["id"])
    assert entry is not None
    died = tracking.handle(services.tracker, entry)
    await died.__aenter__()
    assert (await page.post(f"/progress/{entry.id}/cancel")).status_code < 300
    await services.queue.run_until_idle()
    assert (await page.get(f"/progress/{entry.id}")).json()["status"] == "cancelled"
    assert (await page.post(f"/api/jobs/{entry.id}/retry")).status_code == 202
    await services.queue.run_until_idle()
    assert (await page.get(f"/progress/{entry.id}")).json()["status"] == "completed"


class Endless(Transcriber):
    """Listens until it is made to stop, and remembers by what."""

    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()
        self.by: BaseException | None = None

    def transcribe(
        self, path: Path, *, on_progress: Callable[[float], None], name: str = ""
    ) -> Transcript:
        try:
            while True:
                on_progress(0.5)
                self.begun.set()
        except Exception as exc:
            self.by = exc
            raise
        finally:
            self.ended.set()


async def test_a_cancel_holds_though_its_worker_died_before_the_job_had_ended(
    services: Services, page: httpx.AsyncClient
) -> None:
    talk = (SAMPLES / "garden_podcast.en.srt").read_bytes()
    made = (await send(page, "talk.srt", talk)).json()["id"]
    await services.tracker.cancel(made)
    await services.queue.run_until_idle()
    assert await job_status(services, made) == "cancelled"
    assert (await page.get(f"/progress/{made}")).json()["status"] == "cancelled"
    assert (await page.post(f"/api/jobs/{made}/retry")).status_code == 202
    await services.queue.run_until_idle()
    assert (await page.get(f"/progress/{made}")).json()["status"] == "completed"


async def test_what_waits_is_cancelled_at_once_and_may_be_wanted_again(
    services: Services, page: httpx.AsyncClient
) -> None:
    talk = (SAMPLES / "garden_podcast.en.srt").read_bytes()
    made = (await send(page, "talk.srt", talk)).json()["id"]
    async with browser(services) as stranger:
        await stranger.get("/")
        assert (await stranger.post(f"/progress/{made}/cancel")).status_code == 404
    assert (await page.get(f"/progress/{made}")).json()["status"] == "processing"
    for _ in range(2):  # no worker has begun
        assert (await page.post(f"/progress/{made}/cancel")).status_code == 202
        assert (await page.get(f"/progress/{made}")).json()["status"] == "cancelled"
        assert (await page.post(f"/api/jobs/{made}/retry")).status_code == 202
        assert (await page.get(f"/progress/{made}")).json()["status"] == "pending"
    await page.post(f"/progress/{made}/cancel")
    await services.queue.run_until_idle()
    assert await job_status(services, made) == "cancelled"
    assert (await page.get(f"/progress/{made}")).json()["status"] == "cancelled"
    assert (await page.post(f"/api/jobs/{made}/retry")).status_code == 202
    await services.queue.run_until_idle()
    assert (await page.get(f"/progress/{made}")).json()["status"] == "completed"


async def test_a_retry_at_the_moment_a_worker_finds_it_cancelled(
    services: Services, page: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = (SAMPLES / "garden_podcast.en.srt").read_bytes()
    made = (await send(page, "talk.srt", talk)).json()["id"]
    await page.post(f"/progress/{made}/cancel")
    restart = services.tracker.restart

    async def restarting(*given: Any, **named: Any) -> Any:
        await services.queue.run_until_idle()  # it gives the job up
        return await restart(*given, **named)

    monkeypatch.setattr(type(services.tracker), "restart", staticmethod(restarting))
    assert (await page.post(f"/api/jobs/{made}/retry")).status_code == 202
    await services.queue.run_until_idle()
    assert (await page.get(f"/progress/{made}")).json()["status"] == "completed"


async def test_a_worker_that_is_stopped_leaves_its_job_to_others(
    services: Services, page: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = Endless()
    monkeypatch.setattr(working, "get_transcriber", lambda: endless)
    made = (await send(page, "tides.wav", b"whatever")).json()["id"]
    work = asyncio.create_task(services.queue.run_until_idle())
    assert await asyncio.to_thread(endless.begun.wait, 60)
    work.cancel()
    await asyncio.wait([work])
    assert await asyncio.to_thread(endless.ended.wait, 60)
    assert isinstance(endless.by, Interrupted)
    state = (await page.get(f"/progress/{made}")).json()
    assert (state["status"], state["message"]) == ("processing", tracking.INTERRUPTED)
    # a second one goes on from there
    entry = services.library.entry(made)
    assert entry is not None
    async with tracking.handle(services.tracker, entry) as second:
        second.stage("transcribe", message="listening")
    state = (await page.get(f"/progress/{made}")).json()
    assert (state["status"], state["message"]) == ("completed", "listening")


async def test_a_worker_that_wakes_late_does_not_begin_what_has_ended(
    services: Services, page: httpx.AsyncClient
) -> None:
    made = (await send(page, "talk.srt", (SAMPLES / "garden_podcast.en.srt").read_bytes())).json()
    await services.queue.run_until_idle()
    before = await services.tracker.get(made["id"])
    url = f"/api/transcripts/{made['id']}"
    change = {"revision": (await page.get(url)).json()["revision"], "title": "Renamed meanwhile"}
    assert (await page.patch(url, json=change)).status_code == 200
    job = await services.queue.get_job(made["id"])
    assert job is not None
    late = await services.queue.enqueue(
        working.JOB, {"transcript_id": made["id"]}, headers=dict(job.headers)
    )
    await services.queue.run_until_idle()
    assert (await services.queue.get_job(late.id)).status == "completed"
    assert await services.tracker.get(made["id"]) == before
    assert (await page.get("/inbox/notifications")).json()["unread"] == 1


async def test_a_job_whose_progress_was_taken_away_runs_again(
    services: Services, page: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = (await send(page, "talk.srt", (SAMPLES / "garden_podcast.en.srt").read_bytes())).json()
    entry = services.library.entry(made["id"])
    assert entry is not None
    export, times = exporting.export, 0

    async def export_and_lose(*args: Any, **kwargs: Any) -> Any:
        nonlocal times
        times += 1
        if times == 2:  # as one does that had lost the job, and does not know it yet
            woken = tracking.handle(services.tracker, entry)
            await woken.__aenter__()
            woken.release(tracking.INTERRUPTED)
            await woken.__aexit__(None, None, None)
        return await export(*args, **kwargs)

    monkeypatch.setattr(exporting, "export", export_and_lose)
    await services.queue.run_until_idle()
    assert (await page.get(f"/progress/{entry.id}")).json()["status"] == "processing"
    job = await services.queue.get_job(entry.id)
    assert job is not None
    assert not job.status.is_final
    await services.queue.run_until_idle(advance=3600)
    assert (await page.get(f"/progress/{entry.id}")).json()["status"] == "completed"
    assert (await services.queue.get_job(entry.id)).status == "completed"
    assert (await page.get("/inbox/notifications")).json()["unread"] == 1


async def test_who_is_stopped_while_it_begins_cancels_nothing(
    services: Services, page: httpx.AsyncClient
) -> None:
    made = (await send(page, "talk.srt", (SAMPLES / "garden_podcast.en.srt").read_bytes())).json()
    entry = services.library.entry(made["id"])
    assert entry is not None
    handle = tracking.handle(services.tracker, entry)

    async def begin() -> None:
        async with tracking.held(handle, last=False):
            await asyncio.Event().wait()

    task = asyncio.create_task(begin())
    await asyncio.sleep(0)  # it has begun to begin
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await page.get(f"/progress/{entry.id}")).json()["message"] == tracking.INTERRUPTED
    await services.queue.run_until_idle()
    assert (await page.get(f"/progress/{entry.id}")).json()["status"] == "completed"


async def test_an_outage_passes(
    services: Services, page: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = (await send(page, "talk.srt", (SAMPLES / "garden_podcast.en.srt").read_bytes())).json()
    index, failures = services.search.index_batch, 2

    async def failing(documents: Any) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise semsearch.BackendError("the server does not answer")
        return await index(documents)

    monkeypatch.setattr(type(services.search), "index_batch", staticmethod(failing))
    await services.queue.run_until_idle()
    state = (await page.get(f"/progress/{made['id']}")).json()
    assert (state["status"], state["message"]) == ("processing", tracking.RETRIED)
    await services.queue.run_until_idle(advance=3600)
    state = (await page.get(f"/progress/{made['id']}")).json()
    assert (state["status"], failures) == ("completed", 0)
    assert (await page.get("/inbox/notifications")).json()["unread"] == 1


async def test_an_upload_that_cannot_be_queued_is_not_kept(
    services: Services, page: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_: Any, **__: Any) -> NoReturn:
        raise jobqueue.BackendError("the server does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(type(services.queue), "enqueue", staticmethod(failing))
        answer = await send(page, "talk.srt", b"x")
    assert (answer.status_code, "Try again" in answer.json()["error"]) == (503, True)
    assert (await page.get("/api/transcripts")).json() == NOTHING
    assert not list((services.profile.folder / "library").iterdir())


async def test_a_worker_that_is_quicker_than_the_web_process(
    services: Services, page: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has written stays, and says as much as what the web process would have written."""
    create = services.tracker.create

    async def creating(*given: Any) -> Any:
        await services.queue.run_until_idle()
        return await create(*given)

    monkeypatch.setattr(type(services.tracker), "create", staticmethod(creating))
    content = (SAMPLES / "garden_podcast.en.srt").read_bytes()
    headers = {"x-file-name": "talk.srt", "x-correlation-id": "abc"}
    made = (await page.post("/api/transcripts", content=content, headers=headers)).json()["id"]
    archive = (await page.post("/api/archives", headers=headers)).json()["id"]
    for id, title in ((made, "talk"), (archive, "All transcripts as ZIP")):
        found = (await page.get(f"/progress/{id}")).json()
        assert (found["status"], found["metadata"]["title"]) == ("completed", title)
        assert found["metadata"]["correlation_id"] == "abc"


async def test_an_upload_whose_progress_cannot_be_written_goes_on(
    services: Services, page: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_: Any, **__: Any) -> NoReturn:
        raise progress_tracker.BackendError("the server does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(type(services.tracker), "create", staticmethod(failing))
        made = await send(page, "talk.srt", (SAMPLES / "garden_podcast.en.srt").read_bytes())
    assert made.status_code == 201
    await services.queue.run_until_idle()
    assert (await page.get(f"/progress/{made.json()['id']}")).json()["status"] == "completed"


async def test_a_process_without_handlers_asks_for_as_much(
    services: Services, profile: Profile
) -> None:
    apart = build(profile)  # as a web process has it
    async with browser(apart) as page:
        await page.get("/")
        talk = (SAMPLES / "garden_podcast.en.srt").read_bytes()
        made = (await send(page, "talk.srt", talk)).json()["id"]
        job = await services.queue.get_job(made)
        assert job is not None
        assert job.max_attempts == working.ATTEMPTS
        await services.queue.run_until_idle()
        archive = (await page.post("/api/archives")).json()["id"]
    await apart.aclose()
    job = await services.queue.get_job(archive)
    assert job is not None
    assert job.max_attempts == archiving.ATTEMPTS


async def test_a_job_whose_end_is_near_is_retried(
    services: Services, page: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait, waits = services.queue.wait, asyncio.Event()

    async def waiting(*given: Any, **named: Any) -> Any:
        waits.set()
        return await wait(*given, **named)

    monkeypatch.setattr(type(services.queue), "wait", staticmethod(waiting))
    made = (await send(page, "talk.srt", b"no cue in here")).json()["id"]
    # as a worker leaves it for a moment: the progress has ended, the job not yet
    await services.tracker.fail(made, "no cue in here")
    asked = asyncio.create_task(page.post(f"/api/jobs/{made}/retry"))
    async with asyncio.timeout(30):
        await waits.wait()
    await services.queue.cancel_job(made)
    assert (await asked).status_code == 202


async def test_links_expire(
    services: Services, page: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await worked(services, page, "garden_podcast.en.srt")
    monkeypatch.setattr(archiving, "LINK_TTL", 0.2)
    made = (await page.post("/api/archives")).json()["id"]
    await services.queue.run_until_idle()
    link = (await page.get(f"/api/archives/{made}")).json()
    async with asyncio.timeout(30):
        while (answer := await page.get(link["url"])).status_code == 200:
            await asyncio.sleep(0.05)
    assert answer.status_code in {403, 410}
    # what a notification leads to is a link of that moment
    assert (await page.get(f"/archives/{made}")).content.startswith(b"PK")


async def test_pages_of_other_sites_change_nothing(page: httpx.AsyncClient) -> None:
    answer = await page.post(
        "/api/transcripts",
        content=b"x",
        headers={"origin": "https://evil.example", "x-file-name": "a.txt"},
    )
    assert answer.status_code == 403
    assert "frame-ancestors 'none'" in (await page.get("/")).headers["content-security-policy"]
    assert (await page.get("/static/../web.py")).status_code == 404
