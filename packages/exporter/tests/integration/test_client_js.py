"""client.js in headless Chromium: one click, one export; nothing told twice; whole files."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

pytest.importorskip("playwright.async_api")
pytest.importorskip("uvicorn")
pytest.importorskip("starlette")

from _common.browser import sound_page, until, visiting
from browser_site import Site, until_in
from exporter import ExportService, ExportStatus, Settings

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]  # one browser

LOAD = """async (options) => {
  window.module = await import("/x/client/latest/client.js");
  window.client = new module.ExporterClient("/x/", { retryMin: 30, retryMax: 200, ...options });
  window.seen = [];
  window.troubles = [];
  window.ended = [];
}"""
FOLLOW = """(id) => {
  window.stop = client.follow(id, ({ status, progress }) => seen.push([status, progress]), {
    onEnd: ({ status }) => ended.push(status),
    onTrouble: (error) => troubles.push([error.code, error.status]),
  });
}"""
SMALL = {"type": "custom", "id": "1", "data": {"rows": [{"a": 1}]}}
STEPS = {"type": "steps", "id": "1"}
START = "([source, format, options, more]) => client.start(source, format, options, more)"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Any]:
    async with visiting() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Any) -> AsyncIterator[Any]:
    async with sound_page(browser, keeps_policy=False, accept_downloads=True) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def service() -> AsyncIterator[ExportService]:
    settings = {
        "storage": {"url": "memory://"},
        "history": {"url": "memory://"},
        "jobs": {"shutdown_timeout": 0},
    }
    async with ExportService(Settings.from_mapping(settings)) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def site(service: ExportService) -> AsyncIterator[Site]:
    made = Site(service)
    await made.start()
    yield made
    await made.stop()


async def load(page: Any, site: Site, query: str = "", **options: Any) -> None:
    await page.goto(site.url + query)
    await page.evaluate(LOAD, options)


async def start(page: Any, source: Any, format: str = "csv", **options: Any) -> Any:
    return await page.evaluate(START, [source, format, options, {}])


def at(progress: int) -> str:
    """What is true in the page when that much is done, to a row."""
    return f"seen.some(([status, progress]) => Math.round(progress) === {progress})"


async def followed(page: Any) -> list[float]:
    """The progress of each call; fails if a state came twice or out of order."""
    seen = await page.evaluate("seen")
    assert len({tuple(each) for each in seen}) == len(seen)
    order = ["pending", "processing", "completed"]
    places = [(order.index(status), progress) for status, progress in seen]
    assert places == sorted(places)
    return [progress for _, progress in seen]


async def test_an_export_from_start_to_file(site: Site, page: Any) -> None:
    await load(page, site)
    job = await start(page, STEPS, filename="Größe 今日")
    assert (job["status"], job["filename"]) == ("pending", "Größe 今日.csv")
    await page.evaluate(FOLLOW, job["id"])
    site.steps.let(50)
    await until_in(page, at(50))
    site.steps.let(50)
    await until_in(page, "ended.length === 1")
    assert await page.evaluate("ended") == ["completed"]
    assert (await followed(page))[-1] == 100
    async with page.expect_download() as saving:
        name = await page.evaluate("(id) => client.download(id)", job["id"])
    saved = await saving.value
    assert saved.suggested_filename == name == job["filename"]
    data = (await saved.path()).read_bytes()
    assert data == b"n\r\n" + b"".join(b"%d\r\n" % n for n in range(10_000))
    ended = await page.evaluate("(id) => client.get(id)", job["id"])
    assert ended["sha256"] == hashlib.sha256(data).hexdigest()
    assert await page.evaluate(
        "(id) => client.get(id).then((j) => j.completedAt > j.createdAt)", job["id"]
    )


@pytest.mark.parametrize("transport", ["sse", "poll"])
async def test_cuts_and_a_restart(site: Site, page: Any, transport: str) -> None:
    await load(page, site, transports=[transport], pollInterval=30)
    job = await start(page, STEPS)
    await page.evaluate(FOLLOW, job["id"])
    for step in (10, 20):
        site.steps.let(10)
        await until_in(page, at(step))
        site.app.state.care.close()
    await site.stop()
    site.steps.let(10)
    await site.start()
    await until_in(page, at(30))
    site.steps.let(70)
    await until_in(page, "ended.length === 1")
    await followed(page)
    if transport == "sse":
        known = site.asked("/events", "last-event-id")
        assert known[0] is None
        # the second cut may be met with the restart, by one attempt
        assert len(known) >= 3
        assert all((each or "").startswith("1.processing.") for each in known[1:])
    assert await page.evaluate("troubles") == []


async def test_what_has_ended_is_not_asked_for_again(site: Site, page: Any) -> None:
    await load(page, site)
    job = await start(page, SMALL)
    ended = await page.evaluate("(id) => client.wait(id)", job["id"])
    assert ended["status"] == "completed"
    assert site.asked("/events", "last-event-id") == [None]
    answer = await page.evaluate(
        """([id, known]) =>
             fetch(`/x/exports/${id}/events`, { headers: { "last-event-id": known } })
               .then((response) => response.status)""",
        [job["id"], "1.completed.100"],
    )
    assert answer == 204


async def test_where_nothing_streams(site: Site, page: Any) -> None:
    site.streams = False
    await load(page, site, pollInterval=30)
    job = await start(page, STEPS)
    await page.evaluate(FOLLOW, job["id"])
    site.steps.let(60)
    await until_in(page, at(60))
    site.steps.let(40)
    await until_in(page, "ended.length === 1")
    await followed(page)
    assert len(site.asked("/events", "host")) == 2


async def test_one_click_one_export(site: Site, page: Any, service: ExportService) -> None:
    site.swallowed = 2
    await load(page, site)
    job = await start(page, SMALL)
    keys = site.asked("/exports", "idempotency-key")
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert [each.id for each in await service.list_exports("ann")] == [job["id"]]


async def test_a_broken_download_goes_on(site: Site, page: Any, service: ExportService) -> None:
    await load(page, site)
    rows = [{"text": f"{n:06} " + "x" * 200} for n in range(4000)]
    job = await start(page, {"type": "custom", "id": "1", "data": {"rows": rows}})
    await page.evaluate("(id) => client.wait(id)", job["id"])
    whole = await service.download(job["id"])
    site.cut_after = [100_000, 300_000]
    await page.evaluate(
        """(id) => {
          globalThis.marks = [];
          const onProgress = (received, total) => marks.push([received, total]);
          globalThis.made = client.blob(id, { onProgress });
          made.catch(() => {});
        }""",
        job["id"],
    )
    for received in (0, 100_000):
        await until_in(page, f"marks.some(([received]) => received > {received})")
        site.cuts.release()
    seen = await page.evaluate(
        "made.then(async (blob) => ({ text: await blob.text(), marks, type: blob.type }))"
    )
    assert seen["text"].encode() == whole
    assert seen["type"] == "text/csv; charset=utf-8"
    received = [each for each, _ in seen["marks"]]
    assert received == sorted(received)
    assert seen["marks"][-1] == [len(whole), len(whole)]
    ranges = site.asked("/file", "range")
    assert ranges[0] is None
    begun = [int((each or "").removeprefix("bytes=").rstrip("-")) for each in ranges[1:]]
    assert len(begun) == 2
    assert 0 < begun[0] < begun[1] < len(whole)
    etag = site.asked("/file", "if-range")[-1]
    assert etag == f'"{hashlib.sha256(whole).hexdigest()}"'


async def test_a_file_that_is_not_what_was_written(
    site: Site, page: Any, service: ExportService
) -> None:
    await load(page, site)
    job = await start(page, SMALL)
    await page.evaluate("(id) => client.wait(id)", job["id"])
    record = await service.history.get(job["id"])
    assert record is not None
    assert record.key is not None
    with service.storage.open_writer(record.key, "text/csv") as writer:
        writer.write(b"a\r\n2\r\n")
        writer.commit()
    code = await page.evaluate(
        "(id) => client.blob(id).then(() => 'whole', (e) => e.code)", job["id"]
    )
    assert code == "failed"


async def test_cancel_retry_delete_list(site: Site, page: Any, service: ExportService) -> None:
    await load(page, site)
    job = await start(page, STEPS)
    site.steps.let(3)
    assert await page.evaluate("(id) => client.cancel(id)", job["id"])
    assert not await page.evaluate("(id) => client.cancel(id)", job["id"])
    ended = await page.evaluate("(id) => client.wait(id)", job["id"])
    assert ended["status"] == "cancelled"
    await until(lambda: not service._parts.runner.runs)
    site.steps.let(300)  # what has been cancelled may take some on its way out
    again = await page.evaluate("(id) => client.retry(id)", job["id"])
    assert again["id"] == job["id"]
    assert (await page.evaluate("(id) => client.wait(id)", job["id"]))["status"] == "completed"
    other = await start(page, SMALL, "json")
    await page.evaluate("(id) => client.wait(id)", other["id"])
    first = await page.evaluate("client.list({ limit: 1, status: 'completed' })")
    assert [each["id"] for each in first["items"]] == [other["id"]]
    rest = await page.evaluate("(cursor) => client.list({ cursor })", first["nextCursor"])
    assert [each["id"] for each in rest["items"]] == [job["id"]]
    assert await page.evaluate("(id) => client.delete(id)", other["id"])
    assert len((await page.evaluate("client.list()"))["items"]) == 1
    assert "csv" in await page.evaluate("client.formats()")


async def test_one_that_is_deleted_while_followed(
    site: Site, page: Any, service: ExportService
) -> None:
    await load(page, site)
    job = await start(page, STEPS)
    await page.evaluate(FOLLOW, job["id"])
    site.steps.let(5)
    await until_in(page, at(5))
    await service.delete(job["id"])
    await until_in(page, "troubles.length + ended.length === 1")
    # its cancellation may be seen before it is gone
    assert (await page.evaluate("[...troubles, ...ended]"))[0] in (["not_found", 404], "cancelled")


async def test_errors_have_codes(site: Site, page: Any, service: ExportService) -> None:
    await load(page, site)
    failed = await start(page, {"type": "custom", "id": "1", "data": {"rows": 5}})
    assert (await page.evaluate("(id) => client.wait(id)", failed["id"]))["status"] == "failed"
    code = """(run) => new Function("client", `return ${run}`)(client)
                .then(() => "none", (error) => [error.name, error.code, error.status])"""
    for run, expected in (
        (f"client.blob('{failed['id']}')", ["conflict", 409]),
        ("client.get('nothing')", ["not_found", 404]),
        ("client.start({ type: 'custom', id: '1', data: {} }, 'nope')", ["invalid", 400]),
        ("client.wait('nothing')", ["not_found", 404]),
    ):
        assert await page.evaluate(code, run) == ["ExporterClientError", *expected]
    await load(page, site, "?as=bobs")
    for run in (f"client.get('{failed['id']}')", f"client.cancel('{failed['id']}')"):
        assert await page.evaluate(code, run) == ["ExporterClientError", "not_found", 404]
    await load(page, site, "?as=nobodys")
    assert await page.evaluate(code, "client.list()") == [
        "ExporterClientError",
        "unauthorized",
        401,
    ]
    await page.evaluate(LOAD, {"token": "anns"})  # stronger than the cookie
    assert len((await page.evaluate("client.list()"))["items"]) == 1
    site.app.state.care.close()


async def test_no_answer_at_all(site: Site, page: Any) -> None:
    await load(page, site, tries=2)
    await site.stop()
    found = await page.evaluate(
        "client.start({ type: 'steps', id: '1' }, 'csv').catch((e) => [e.code, e.status])"
    )
    assert found == ["failed", 0]
    await site.start()


async def test_waiting_can_be_given_up(site: Site, page: Any) -> None:
    await load(page, site)
    job = await start(page, STEPS)
    found = await page.evaluate(
        """async (id) => {
          const control = new AbortController();
          const onChange = () => control.abort();
          const waiting = client.wait(id, { signal: control.signal, onChange });
          return await waiting.catch((error) => error.name);
        }""",
        job["id"],
    )
    assert found == "AbortError"
    await until(lambda: site.app.state.care.connections == 0)


async def test_an_exported_page_runs_no_script(site: Site, page: Any) -> None:
    """A custom format of HTML with a script in it, looked at from this very origin."""

    class Trap:
        format, content_type = "trap", "text/html; charset=utf-8"

        async def export(self, _data: Any) -> str:
            return """<h1>here</h1><script>document.title = "run"; fetch("/x/exports")</script>
                <img src="/x/exports?stolen"><form action="/x/exports"><button>b</button></form>"""

    site.service.register_format(Trap)
    await load(page, site)
    job = await start(page, SMALL, "trap")
    assert (await page.evaluate("(id) => client.wait(id)", job["id"]))["status"] == "completed"
    url = await page.evaluate("(id) => client.fileUrl(id, { inline: true })", job["id"])
    before = len(site.seen)
    # a sandboxed page is of another origin, and the policy keeps it from loading anything
    await page.goto(url)
    assert await page.text_content("h1") == "here"
    assert await page.title() != "run"
    assert [at for _, at, _ in site.seen[before:]] == [
        url.removeprefix(site.url[:-1]).partition("?")[0]
    ]
    assert (await service_status(site, job["id"])) is ExportStatus.COMPLETED


async def service_status(site: Site, job_id: str) -> ExportStatus | None:
    job = await site.service.get_job(job_id)
    return None if job is None else job.status


async def test_waiting_ends_with_the_client(site: Site, page: Any) -> None:
    await load(page, site)
    job = await start(page, STEPS)
    found = await page.evaluate(
        """async (id) => {
          const waiting = client.wait(id, { onChange: () => client.close() });
          return await waiting.catch((error) => error.name);
        }""",
        job["id"],
    )
    assert found == "AbortError"
    await until(lambda: site.app.state.care.connections == 0)


async def test_a_download_that_is_given_up_at_the_end_saves_nothing(site: Site, page: Any) -> None:
    await load(page, site)
    job = await start(page, SMALL)
    await page.evaluate("(id) => client.wait(id)", job["id"])
    found = await page.evaluate(
        """async (id) => {
          const control = new AbortController();
          const { subtle } = crypto;
          const plain = subtle.digest.bind(subtle);
          subtle.digest = (...given) => (control.abort(), plain(...given));  // while it is compared
          let saved = 0;
          HTMLAnchorElement.prototype.click = () => { saved += 1; };
          const { signal } = control;
          const ended = await client.download(id, { filename: "f", signal }).catch((e) => e.name);
          return [ended, saved];
        }""",
        job["id"],
    )
    assert found == ["AbortError", 0]
