"""The dashboard's API: who may do what, what it answers, and what it never does."""

import asyncio
import re
from importlib.resources import files
from typing import Any

import pytest

from jobqueue import BackendError, ConfigurationError, Job, JobQueue, Latencies, QueueStats
from jobqueue.testing import FakeClock

pytest.importorskip("httpx")
pytest.importorskip("starlette")

import httpx

from jobqueue.asgi import create_app
from jobqueue.asgi.history import History

EVIL = "<script>alert(1)</script>\"'"
SEND = {"x-jobqueue": "1"}


def everything(user: str, action: str, record: Any) -> bool:
    return True


def client(queue: JobQueue, *, base: str = "http://dash.test", **options: Any) -> Any:
    options.setdefault("authenticate", lambda connection: connection.headers.get("x-user"))
    app = create_app(queue, **options)
    headers = {"x-user": "ada"}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False),
        base_url=base,
        headers=headers,
    )


@pytest.fixture
async def jobs(queue: JobQueue) -> dict[str, Job]:
    """A failed, a completed, a delayed and a pending job."""

    @queue.worker("bad", max_attempts=1)
    async def bad(job: Job) -> None:
        raise ValueError(EVIL)

    @queue.worker("good")
    async def good(job: Job) -> dict[str, str]:
        return {"html": EVIL}

    made = {
        "failed": await queue.enqueue("bad", {"text": EVIL}, id="failed"),
        "completed": await queue.enqueue("good", {"n": 2**60}, id="a/b?c#d %2F"),
    }
    await queue.run_until_idle()
    made["delayed"] = await queue.enqueue(EVIL, delay=60, queue=EVIL)
    made["pending"] = await queue.enqueue("good", id="p")
    return made


async def test_nobody_gets_in_without_signing_in(queue: JobQueue) -> None:
    async with client(queue) as http:
        for path in ("/", "/api/session", "/api/overview", "/api/events", "/api/jobs", "/api/job"):
            answer = await http.get(path, headers={"x-user": ""})
            assert (answer.status_code, answer.json()) == (401, {"error": "sign in first"}), path
        paths = ("job/retry", "job/cancel", "job/remove", "queue/pause", "failed/retry")
        for path in paths:
            answer = await http.post(f"/api/{path}", json={}, headers={**SEND, "x-user": ""})
            assert answer.status_code == 401, path


async def test_the_overview(queue: JobQueue, jobs: dict[str, Job]) -> None:
    await queue.pause("default")
    async with client(queue) as http:
        assert (await http.get("/api/session")).json() == {"user": "ada"}
        found = (await http.get("/api/overview")).json()
    by_name = {each["name"]: each for each in found["queues"]}
    assert by_name.keys() == {"default", EVIL}
    assert by_name["default"]["paused"]
    assert (by_name["default"]["failed"], by_name["default"]["pending"]) == (1, 1)
    assert found["total"]["delayed"] == 1
    assert found["total"]["oldestPendingAge"] == 0
    assert by_name["default"]["actions"] == found["actions"] == []
    assert found["points"][-1]["backlog"] == 1
    assert found["points"][-1]["completed"] == pytest.approx(1 / 60)


async def test_one_job(queue: JobQueue, jobs: dict[str, Job]) -> None:
    async with client(queue, authorize=everything) as http:
        found = (await http.get("/api/job", params={"id": "failed"})).json()
        assert found["data"] == {"text": EVIL}
        assert found["error"].startswith(f"ValueError: {EVIL}")
        assert (found["maxAttempts"], found["status"]) == (1, "failed")
        assert found["actions"] == ["retry", "remove"]
        odd = await http.get("/api/job", params={"id": jobs["completed"].id})
        assert '"n":1152921504606846976' in odd.text
        assert odd.json()["actions"] == ["remove"]
        assert odd.json()["completedAt"].endswith("Z")
        assert (await http.get("/api/job", params={"id": "p"})).json()["actions"] == [
            "cancel",
            "remove",
        ]
        assert (await http.get("/api/job", params={"id": "nope"})).status_code == 404
        assert (await http.get("/api/job")).status_code == 400
        assert (await http.get("/api/job", params={"id": "a\nb"})).status_code == 400


async def test_listing_and_searching(queue: JobQueue, jobs: dict[str, Job]) -> None:
    async with client(queue) as http:

        async def ids(**params: Any) -> list[str]:
            answer = await http.get("/api/jobs", params=params)
            assert answer.status_code == 200, answer.text
            return [each["id"] for each in answer.json()["items"]]

        everyone = ["p", jobs["delayed"].id, jobs["completed"].id, "failed"]
        assert await ids() == everyone
        assert await ids(status="failed") == ["failed"]
        assert await ids(status=["failed", "pending"]) == ["p", "failed"]
        assert await ids(name="good", queue="default", status="") == ["p", jobs["completed"].id]
        assert await ids(queue=EVIL) == [jobs["delayed"].id]
        assert await ids(id="failed") == ["failed"]
        assert await ids(id="nope") == []
        created = jobs["failed"].created_at
        assert await ids(createdBefore=created.isoformat()) == []
        assert await ids(createdAfter=created.isoformat()) == everyone
        first = (await http.get("/api/jobs", params={"limit": 3})).json()
        assert len(first["items"]) == 3
        assert await ids(limit=3, cursor=first["nextCursor"]) == ["failed"]
        [brief] = (await http.get("/api/jobs", params={"id": "failed"})).json()["items"]
        assert brief["error"] == f"ValueError: {EVIL}"
        assert not brief.keys() & {"data", "result", "headers"}
        params = {"id": "failed", "errors": "full"}
        [full] = (await http.get("/api/jobs", params=params)).json()["items"]
        assert "in bad\n" in full["error"]


@pytest.mark.parametrize(
    "params",
    [
        {"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"limit": "9" * 5000}, {"limit": "٣"},
        {"cursor": "x"}, {"cursor": "1" * 30}, {"status": "odd"}, {"name": "x" * 201},
        {"queue": "a\x00"}, {"createdAfter": "yesterday"}, {"createdBefore": "9" * 300},
        {"id": "x" * 300},
    ],
)  # fmt: skip
async def test_bad_questions_are_400(queue: JobQueue, params: dict[str, str]) -> None:
    async with client(queue) as http:
        answer = await http.get("/api/jobs", params=params)
        assert answer.status_code == 400, answer.text
        assert set(answer.json()) == {"error"}


async def test_changing_is_refused_by_default(queue: JobQueue, jobs: dict[str, Job]) -> None:
    async with client(queue) as http:
        for path, body in (
            ("job/retry", {"id": "failed"}),
            ("job/cancel", {"id": "p"}),
            ("job/remove", {"id": "failed"}),
            ("queue/pause", {"queue": "default"}),
            ("queue/resume", {"queue": "default"}),
            ("failed/retry", {}),
        ):
            answer = await http.post(f"/api/{path}", json=body, headers=SEND)
            assert answer.status_code == 403, path
            assert answer.json() == {"error": "you are not allowed to do this"}
        assert (await http.get("/api/job", params={"id": "failed"})).json()["actions"] == []
    assert (await queue.get_stats()).failed == 1
    assert await queue.get_queues() == {"default": False, EVIL: False}


async def test_changing_what_is_allowed(queue: JobQueue, jobs: dict[str, Job]) -> None:
    async with client(queue, authorize=everything) as http:

        async def post(path: str, **body: Any) -> Any:
            answer = await http.post(f"/api/{path}", json=body, headers=SEND)
            assert answer.status_code == 200, answer.text
            return answer.json()

        assert await post("job/retry", id="failed") == {"changed": True}
        assert await post("job/retry", id="failed") == {"changed": False}
        assert await post("job/cancel", id="failed") == {"changed": True}
        assert await post("job/remove", id="failed") == {"changed": True}
        assert await queue.get_job("failed") is None
        assert await post("queue/pause", queue="default") == {"changed": True}
        assert (await queue.get_queues())["default"]
        overview = (await http.get("/api/overview")).json()
        assert overview["queues"][1]["actions"] == ["resume", "retry_failed"]
        assert overview["actions"] == ["retry_failed"]
        await post("queue/resume", queue="default")
        await queue.enqueue("bad")
        await queue.run_until_idle()
        assert await post("failed/retry", queue="other") == {"count": 0}
        assert await post("failed/retry", queue=None) == {"count": 1}


async def test_authorize_sees_user_action_and_record(queue: JobQueue, jobs: dict[str, Job]) -> None:
    seen = []

    async def only_own(user: str, action: str, record: Any) -> bool:
        seen.append((user, action, record))
        await asyncio.sleep(0)
        return action == "overview" or (isinstance(record, Job) and record.id == "failed")

    async def who(connection: Any) -> str:
        return "eve"

    async with client(queue, authenticate=who, authorize=only_own) as http:
        listed = (await http.get("/api/jobs")).json()["items"]
        assert [each["id"] for each in listed] == ["failed"]
        # unknown and forbidden look the same
        hidden, unknown = [
            await http.get("/api/job", params={"id": each}) for each in ("p", "unknown")
        ]
        assert (hidden.status_code, hidden.json()) == (unknown.status_code, unknown.json())
        body = {"id": "p"}
        assert (await http.post("/api/job/cancel", json=body, headers=SEND)).status_code == 404
        body = {"id": "failed"}
        assert (await http.post("/api/job/retry", json=body, headers=SEND)).status_code == 200
    assert ("eve", "overview", None) in seen
    assert any(action == "retry" and record.id == "failed" for _, action, record in seen)

    async with client(queue, authorize=lambda *_: False) as http:
        for path in ("overview", "jobs", "events"):
            assert (await http.get(f"/api/{path}")).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),  # a form of another site can send this
        ({"x-jobqueue": "0"}, 403),
        ({"x-jobqueue": "1", "content-type": "text/plain"}, 415),
        ({"x-jobqueue": "1", "origin": "https://evil.test"}, 403),
        ({"x-jobqueue": "1", "origin": "http://dash.test.evil.test"}, 403),
        ({"x-jobqueue": "1", "origin": "http://dash.test:81"}, 403),
        ({"x-jobqueue": "1", "origin": "null"}, 403),
        ({"x-jobqueue": "1", "origin": "http://["}, 403),
        ({"x-jobqueue": "1", "origin": "httpx://dash.test"}, 403),
        ({"x-jobqueue": "1", "sec-fetch-site": "cross-site"}, 403),
        ({"x-jobqueue": "1", "sec-fetch-site": "same-site"}, 403),
        ({"x-jobqueue": "1", "sec-fetch-site": "none"}, 403),
        ({"x-jobqueue": "1", "origin": "http://dash.test", "sec-fetch-site": "same-origin"}, 200),
        ({"x-jobqueue": "1"}, 200),
        ({"x-jobqueue": "1", "origin": "https://ops.test", "sec-fetch-site": "cross-site"}, 200),
    ],
)
async def test_other_sites_change_nothing(
    queue: JobQueue, headers: dict[str, str], status: int
) -> None:
    await queue.enqueue("x", id="j")
    options = {"authorize": everything, "allowed_origins": ["https://ops.test"]}
    async with client(queue, **options) as http:
        sent = {"content-type": "application/json", **headers}
        answer = await http.post("/api/job/cancel", content=b'{"id": "j"}', headers=sent)
    assert answer.status_code == status, answer.text
    job = await queue.get_job("j")
    assert job is not None
    assert job.status == ("cancelled" if status == 200 else "pending")


async def test_preflights(queue: JobQueue) -> None:
    async with client(queue, allowed_origins=["https://ops.test"]) as http:
        good = await http.options("/api/job/retry", headers={"origin": "https://ops.test"})
        assert good.headers["access-control-allow-origin"] == "https://ops.test"
        assert good.headers["access-control-allow-methods"] == "POST"
        assert "x-jobqueue" in good.headers["access-control-allow-headers"]
        for origin in ("https://evil.test", "null"):
            bad = await http.options("/api/job/retry", headers={"origin": origin})
            assert bad.status_code == 403
            assert "access-control-allow-origin" not in bad.headers
        read = await http.get("/api/session", headers={"origin": "https://ops.test"})
        assert read.headers["access-control-allow-origin"] == "https://ops.test"
        assert (
            await http.get("/api/session", headers={"origin": "https://evil.test"})
        ).status_code == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'{"id": 7}', 400),
        (b'{"id": ""}', 400),
        (b"{}", 400),
        (b'{"id": "\\ud800"}', 400),
        (b"[" * 4000, 400),
        (b'{"id": "' + b"x" * 5000 + b'"}', 413),
        (b'{"id": "nope"}', 404),
    ],
)
async def test_bad_bodies(queue: JobQueue, body: bytes, status: int) -> None:
    async with client(queue, authorize=everything) as http:
        headers = {**SEND, "content-type": "application/json"}
        answer = await http.post("/api/job/cancel", content=body, headers=headers)
        assert answer.status_code == status, answer.text
        assert "Traceback" not in answer.text


async def test_headers_of_every_answer(queue: JobQueue, jobs: dict[str, Job]) -> None:
    async with client(queue) as http:
        for path in ("/", "/static/main.js", "/api/jobs", "/api/job?id=nope", "/api/session"):
            headers = (await http.get(path)).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "script-src 'self';" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert headers["x-frame-options"] == "DENY"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["cache-control"] == ("no-store" if "/api/" in path else "no-cache")
        assert (await http.get("/api/jobs")).headers["content-type"] == "application/json"


async def test_static_files(queue: JobQueue) -> None:
    async with client(queue) as http:
        page = await http.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        for name in re.findall(r'(?:src|href)="static/([^"]+)"', page.text):
            answer = await http.get(f"/static/{name}", headers={"x-user": ""})
            assert answer.status_code == 200, name
        script = await http.get("/static/main.js")
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        again = await http.get("/static/main.js", headers={"if-none-match": script.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        for name in ("index.html", "../api.py", "..%2fapi.py", "%2e%2e%2fapi.py", "x.js", ".css"):
            assert (await http.get(f"/static/{name}")).status_code == 404, name


def test_the_page_makes_html_of_no_data_and_loads_nothing_from_elsewhere() -> None:
    folder = files("jobqueue.asgi") / "static"
    sources = {each.name: each.read_text() for each in folder.iterdir()}
    assert sources.keys() >= {"index.html", "main.js", "dashboard.css"}
    for name, text in sources.items():
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in text, (name, word)
        found = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text.replace("http://www.w3.org", ""))
        assert not found, (name, found)
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=", sources["index.html"])
    scripts = {name for name in sources if name.endswith(".js")}
    for name in scripts:
        assert set(re.findall(r'from "\./([^"]+)"', sources[name])) <= scripts


async def test_a_broker_that_fails(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def down(*_: Any) -> None:
        raise BackendError("connection to postgres://secret refused")

    async def unset(*_: Any) -> None:
        raise ConfigurationError("no table jobqueue_jobs: run jobqueue schema upgrade")

    await queue.opened()
    async with client(queue) as http:
        monkeypatch.setattr(queue.broker, "list_jobs", down)
        answer = await http.get("/api/jobs")
        assert (answer.status_code, "secret" in answer.text) == (503, False)
        assert (await http.get("/api/overview")).status_code == 503
        monkeypatch.setattr(queue.broker, "list_jobs", unset)
        answer = await http.get("/api/jobs")
        assert (answer.status_code, "table" in answer.text) == (500, False)
    assert "dashboard.misconfigured" in caplog.text


async def test_mounted_below_a_path(queue: JobQueue) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    app = create_app(queue, authenticate=lambda _: "ada")
    outer = Starlette(routes=[Mount("/admin/jobs", app)])
    transport = httpx.ASGITransport(outer)
    async with httpx.AsyncClient(transport=transport, base_url="http://x.test") as http:
        assert (await http.get("/admin/jobs/api/session")).json() == {"user": "ada"}
        assert "jobqueue" in (await http.get("/admin/jobs/")).text
        assert (await http.get("/admin/jobs")).headers["location"].endswith("/admin/jobs/")


async def test_history_begins_with_what_is_stored(queue: JobQueue, clock: FakeClock) -> None:
    @queue.worker("x", max_attempts=1)
    async def handler(job: Job) -> None:
        await clock.advance(2)
        if job.data:
            raise ValueError

    for minutes in range(5):
        await queue.enqueue("x", minutes == 4)
        await queue.run_until_idle()
        await clock.advance(118)
    jobs = await queue.get_jobs()
    history, now = History(), clock.time()
    history.fill(jobs, now, complete=True)
    points = history.since(0)
    assert points[0].at == pytest.approx(now - 600)
    assert points[-1].at == pytest.approx(now - 10)
    assert {round(each.completed * 60) for each in points if each.completed is not None} == {0, 1}
    assert {round(each.failed * 60) for each in points if each.failed is not None} == {0, 1}
    assert {each.latencies.run_p50 for each in points} == {None, 2.0}
    # of more jobs than were read, the time before the first of them is unknown
    partial = History()
    partial.fill(jobs[:2], now, complete=False)
    assert partial.since(0)[0].at == pytest.approx(now - 238 + 2 + 60)
    # what was seen before stays
    await clock.advance(100)
    history.fill(jobs, clock.time(), complete=True)
    numbers = [each.number for each in history.since(0)]
    assert numbers == sorted(set(numbers))
    times = [each.at for each in history.since(0)]
    assert times == sorted(times)
    assert times[0] >= clock.time() - 610


def test_failures_are_counted_from_the_first_look_on() -> None:
    history = History()
    for seconds, failed in ((0, 100), (2, 104), (4, 90), (6, 91), (70, 91)):
        history.add(seconds, QueueStats(failed=failed), Latencies())
    # dead letters from before count nothing, and those that were retried nothing less
    assert [each.failed for each in history.since(0)] == [None, 2.0, 1.0, 5 / 6, None]


def test_without_starlette_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    from jobqueue import MissingExtraError

    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    with pytest.raises(MissingExtraError, match=r"jobqueue\[asgi\]"):
        create_app(JobQueue(), authenticate=lambda _: "ada")
