"""One id from the request to the records of what it set off."""

import logging
from collections.abc import AsyncIterator
from importlib.resources import files

import httpx
import pytest

from transcript_studio.correlation import LogFilter, correlation_id, id_of
from transcript_studio.profile import Profile
from transcript_studio.services import Services, build
from transcript_studio.steps.working import register
from transcript_studio.web import create_app

MARK = "request-7.a"
SAMPLE = (files("transcript_studio") / "samples" / "garden_podcast.en.srt").read_bytes()


@pytest.fixture
async def web(profile: Profile) -> AsyncIterator[Services]:
    services = build(profile)
    await services.setup()
    yield services
    await services.aclose()


@pytest.fixture
async def worker(profile: Profile) -> AsyncIterator[Services]:
    services = build(profile)
    await services.setup()
    register(services)
    yield services
    await services.aclose()


async def test_an_upload_is_followed_through_all_records(
    web: Services, worker: Services, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.addFilter(LogFilter())
    caplog.set_level(logging.INFO)
    transport = httpx.ASGITransport(create_app(web))
    async with httpx.AsyncClient(transport=transport, base_url="http://studio.test") as page:
        await page.get("/")
        answer = await page.post(
            "/api/transcripts",
            content=SAMPLE,
            headers={"x-file-name": "talk.srt", "x-correlation-id": MARK},
        )
        assert answer.headers["x-correlation-id"] == MARK
        made = answer.json()["id"]
        assert correlation_id() is None
        await worker.queue.run_until_idle()
        assert correlation_id() is None

        job = await web.queue.get_job(made)
        assert job is not None
        assert job.headers["correlation_id"] == MARK
        assert (await web.tracker.get(made)).metadata["correlation_id"] == MARK
        [note] = (await page.get("/inbox/notifications")).json()["items"]
        assert note["metadata"]["correlation_id"] == MARK
        segment = await web.search.get(f"{made}:0")
        assert (segment.metadata or {})["correlation_id"] == MARK
        marked = [each for each in caplog.records if getattr(each, "correlation_id", "") == MARK]
        said = [each.getMessage() for each in marked]
        assert said.count("studio.exported") == 4
        assert "studio.cache_invalidated" in said

        edit = {"revision": (await page.get(f"/api/transcripts/{made}")).json()["revision"]}
        answer = await page.patch(
            f"/api/transcripts/{made}", json=edit, headers={"x-correlation-id": "edit-8"}
        )
        assert answer.status_code == 200
        await worker.queue.run_until_idle()
        segment = await web.search.get(f"{made}:0")
        assert (segment.metadata or {})["correlation_id"] == "edit-8"


@pytest.mark.parametrize("header", [None, "", "a b", "x" * 65, "é", "a\nb"])
def test_what_is_not_fit_for_logs_is_replaced(header: str | None) -> None:
    made = id_of(header)
    assert made != header
    assert len(made) == 32
    assert made != id_of(header)
