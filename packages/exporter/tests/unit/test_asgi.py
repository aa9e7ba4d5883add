"""The web app: who may do what, and how files are served."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from exporter import ExportService, Settings

pytest.importorskip("starlette")
httpx = pytest.importorskip("httpx")

from exporter.asgi import create_app  # noqa: E402  needs the extra

BODY = {"source": {"type": "custom", "id": "1", "data": {"rows": [{"a": 1}]}}, "format": "csv"}
CSV = b"a\r\n1\r\n"


def user(connection: Any) -> str | None:
    return connection.headers.get("x-user")


@pytest.fixture
async def service() -> AsyncIterator[ExportService]:
    settings = {
        "storage": {"url": "memory://"},
        "history": {"url": "memory://"},
        "downloads": {"signing_keys": {"k": "k" * 32}},
    }
    async with ExportService(Settings.from_mapping(settings)) as made:
        yield made


@pytest.fixture
async def client(service: ExportService) -> AsyncIterator[Any]:
    app = create_app(service, authenticate=user, allowed_origins=["https://app.example"])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers={"x-user": "ann"}
    ) as made:
        yield made


async def started(client: Any, service: ExportService, **changes: Any) -> str:
    response = await client.post("/exports", json={**BODY, **changes})
    assert response.status_code == 202, response.text
    await service.wait(response.json()["id"], 60)
    return response.json()["id"]


async def test_start_get_list_delete(client: Any, service: ExportService) -> None:
    options = {"filename": "Größe", "includeMetadata": False, "ttl": 60}
    id = await started(client, service, options=options)
    job = (await client.get(f"/exports/{id}")).json()
    assert (job["status"], job["format"], job["filename"]) == ("completed", "csv", "Größe.csv")
    assert {"createdAt", "completedAt"} <= job.keys()
    assert job.keys().isdisjoint({"filePath", "downloadUrl", "error", "pages"})
    page = (await client.get("/exports", params={"status": "completed", "limit": 1})).json()
    assert [each["id"] for each in page["items"]] == [id]
    assert (await client.get("/formats")).json()["formats"][0] == "csv"
    assert (await client.post(f"/exports/{id}/cancel")).json() == {"cancelled": False}
    assert (await client.delete(f"/exports/{id}")).json() == {"deleted": True}
    assert (await client.get(f"/exports/{id}")).status_code == 404


async def test_metadata(client: Any, service: ExportService) -> None:
    id = await started(client, service, metadata={"order": [7, {"a": None}]})
    assert (await client.get(f"/exports/{id}")).json()["metadata"] == {"order": [7, {"a": None}]}
    plain = await started(client, service)
    assert (await client.get(f"/exports/{plain}")).json()["metadata"] == {}
    for wrong in (5, "x", [1], {"a": "x" * 65_536}):
        response = await client.post("/exports", json={**BODY, "metadata": wrong})
        assert response.status_code == 400, response.text
        assert "metadata" in response.json()["error"]


async def test_the_trace_is_not_for_browsers(client: Any, service: ExportService) -> None:
    id = await started(client, service)
    record = await service.history.get(id)
    record.metadata = {"traceparent": "00-1-1-01", "correlation_id": "c"}
    assert await service.history.save(record)
    assert (await client.get(f"/exports/{id}")).json()["metadata"] == {"correlation_id": "c"}


async def test_idempotency_key(client: Any) -> None:
    heads = {"idempotency-key": "k"}
    ids = {(await client.post("/exports", json=BODY, headers=heads)).json()["id"] for _ in range(3)}
    assert len(ids) == 1
    other = await client.post("/exports", json={**BODY, "format": "json"}, headers=heads)
    assert other.status_code == 409


async def test_strangers(client: Any, service: ExportService) -> None:
    id = await started(client, service)
    for method, path in (
        ("GET", f"/exports/{id}"),
        ("DELETE", f"/exports/{id}"),
        ("POST", f"/exports/{id}/cancel"),
        ("GET", f"/exports/{id}/file"),
        ("GET", f"/exports/{id}/events"),
    ):
        assert (await client.request(method, path, headers={"x-user": "bob"})).status_code == 404
        assert (await client.request(method, path, headers={"x-user": ""})).status_code == 401
    assert (await client.get("/exports", headers={"x-user": "bob"})).json()["items"] == []
    assert (await client.post("/exports", json=BODY, headers={"x-user": ""})).status_code == 401


async def test_loaded_sources_need_leave(client: Any, service: ExportService) -> None:
    @service.source("transcript")
    async def load(id: str) -> dict:
        return {"segments": []}

    body = {"source": {"type": "transcript", "id": "of-bob"}, "format": "txt"}
    assert (await client.post("/exports", json=body)).status_code == 403
    seen = []

    async def authorize(user: str, action: str, record: Any) -> bool:
        seen.append((user, action))
        return True

    app = create_app(service, authenticate=user, authorize=authorize)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://test"
    ) as other:
        response = await other.post("/exports", json=body, headers={"x-user": "ann"})
        assert response.status_code == 202
    assert seen == [("ann", "export")]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"x", 400),
        (b"[]", 400),
        (b'{"source": 5}', 400),
        (json.dumps({**BODY, "format": "nope"}).encode(), 400),
        (json.dumps({**BODY, "options": {"x": 1}}).encode(), 400),
        (json.dumps({**BODY, "options": 5}).encode(), 400),
        (json.dumps({**BODY, "options": {"ttl": -1}}).encode(), 400),
        (json.dumps({**BODY, "options": {"filename": "../x"}}).encode(), 400),
        (json.dumps({**BODY, "options": {"includeMetadata": 3}}).encode(), 400),
        (json.dumps({**BODY, "options": {"template": 5}}).encode(), 400),
        (json.dumps({**BODY, "options": {"template": "t"}}).encode(), 400),
        (json.dumps({**BODY, "source": {"type": "x", "id": "1", "data": 5}}).encode(), 400),
        (b" " * (1 << 20) + b"{}", 413),
    ],
)
async def test_bad_bodies(client: Any, body: bytes, status: int) -> None:
    response = await client.post("/exports", content=body)
    assert response.status_code == status
    assert "error" in response.json()


async def test_bad_queries(client: Any) -> None:
    for query in (
        "limit=x",
        "limit=0",
        "limit=9999",
        "limit=" + "9" * 5000,
        "cursor=x",
        "status=x",
    ):
        found = await client.get(f"/exports?{query}")
        assert found.status_code == 400
        # the answer names what was asked for, as it was asked for
        assert query.partition("=")[2][:40] in found.json()["error"]


async def test_origins(client: Any) -> None:
    evil, ours = {"origin": "https://evil.example"}, {"origin": "https://app.example"}
    assert (await client.post("/exports", json=BODY, headers=evil)).status_code == 403
    response = await client.post("/exports", json=BODY, headers=ours)
    assert response.headers["access-control-allow-origin"] == "https://app.example"
    answer = await client.options("/exports", headers=ours)
    assert "POST" in answer.headers["access-control-allow-methods"]


async def test_file_headers(client: Any, service: ExportService) -> None:
    id = await started(client, service, options={"filename": 'Größe "x"'.replace('"', "'")})
    response = await client.get(f"/exports/{id}/file")
    assert response.content == CSV
    heads = response.headers
    assert heads["content-type"] == "text/csv; charset=utf-8"
    assert heads["x-content-type-options"] == "nosniff"
    assert heads["content-length"] == str(len(CSV))
    assert heads["accept-ranges"] == "bytes"
    assert "no-store" in heads["cache-control"]
    assert "filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%27x%27.csv" in heads["content-disposition"]
    head = await client.head(f"/exports/{id}/file")
    assert (head.content, head.headers["content-length"]) == (b"", str(len(CSV)))
    same = await client.get(f"/exports/{id}/file", headers={"if-none-match": heads["etag"]})
    assert same.status_code == 304
    for known, status in (("*", 304), (f'"x", W/{heads["etag"]}', 304), ('"x"', 200)):
        again = await client.get(f"/exports/{id}/file", headers={"if-none-match": known})
        assert again.status_code == status


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=0-0", 206, CSV[:1]),
        ("bytes=2-", 206, CSV[2:]),
        ("bytes=-3", 206, CSV[-3:]),
        ("bytes=-99", 206, CSV),
        ("bytes=1-99", 206, CSV[1:]),
        ("bytes=6-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=3-1", 200, CSV),
        ("bytes=0-1,3-4", 200, CSV),
        ("items=0-1", 200, CSV),
        ("bytes=-", 200, CSV),
        ("bytes=a-b", 200, CSV),
        ("bytes=" + "9" * 99 + "-", 200, CSV),
    ],
)
async def test_ranges(
    client: Any, service: ExportService, asked: str, status: int, content: Any
) -> None:
    id = await started(client, service)
    response = await client.get(f"/exports/{id}/file", headers={"range": asked})
    assert response.status_code == status
    if content is not None:
        assert response.content == content
    if status == 206:
        begin, _, size = response.headers["content-range"].removeprefix("bytes ").partition("/")
        assert size == str(len(CSV))
        assert (
            int(begin.split("-")[0]) == len(CSV) - len(content)
            if asked.startswith("bytes=-")
            else True
        )
    if status == 416:
        assert response.headers["content-range"] == f"bytes */{len(CSV)}"


async def test_if_range(client: Any, service: ExportService) -> None:
    id = await started(client, service)
    etag = (await client.get(f"/exports/{id}/file")).headers["etag"]
    for value, status in ((etag, 206), ('"other"', 200)):
        heads = {"range": "bytes=0-1", "if-range": value}
        assert (await client.get(f"/exports/{id}/file", headers=heads)).status_code == status


async def test_links(client: Any, service: ExportService) -> None:
    id = await started(client, service)
    token = await service.link(id)
    assert (await client.get(f"/files/{token}", headers={"x-user": ""})).content == CSV
    bound = await service.link(id, user_id="ann")
    assert (await client.get(f"/files/{bound}")).content == CSV
    for name in ("bob", ""):
        assert (await client.get(f"/files/{bound}", headers={"x-user": name})).status_code == 403
    once = await service.link(id, single_use=True)
    assert (await client.head(f"/files/{once}")).status_code == 200
    assert (await client.get(f"/files/{once}")).content == CSV
    assert (await client.get(f"/files/{once}")).status_code == 403
    assert (await client.get(f"/files/{token[:-2]}AA")).status_code == 403
    await service.delete(id)
    assert (await client.get(f"/files/{token}")).status_code == 410


async def test_a_lost_file_is_an_answer(client: Any, service: ExportService) -> None:
    id = await started(client, service)
    [found] = [each async for each in service.storage.list_keys()]
    await service.storage.delete(found.key)
    assert (await client.get(f"/exports/{id}/file")).status_code == 410


async def test_not_ready(client: Any, service: ExportService) -> None:
    bad = {"type": "custom", "id": "1", "data": {"rows": 5}}
    id = await started(client, service, source=bad)
    assert (await client.get(f"/exports/{id}")).json()["status"] == "failed"
    assert (await client.get(f"/exports/{id}/file")).status_code == 409


async def test_events(client: Any, service: ExportService) -> None:
    id = await started(client, service)
    async with asyncio.timeout(60), client.stream("GET", f"/exports/{id}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        text = "".join([part async for part in response.aiter_text()])
    assert "event: export\n" in text
    data = json.loads(text.split("data: ")[-1].split("\n")[0])
    assert (data["id"], data["status"]) == (id, "completed")
