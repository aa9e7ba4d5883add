"""Files over HTTP: to look at, in parts, by links; and the browser's side itself."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from exporter import ExportService, ExportSource, Settings
from small_exports import CSV, ROWS, ended

pytest.importorskip("starlette")
httpx = pytest.importorskip("httpx")

from exporter.asgi import client_path, create_app, token_of  # noqa: E402  needs the extra
from exporter.asgi.serving import wanted_range  # noqa: E402

CROSS = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}


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
    def user(connection: Any) -> str | None:
        return connection.headers.get("x-user") or token_of(connection)

    app = create_app(service, authenticate=user, allowed_origins=["https://app.example"])
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://test", headers={"x-user": "ann"}
    ) as made:
        yield made


@pytest.mark.parametrize(
    ("format", "kind", "inline"),
    [
        ("txt", "text/plain; charset=utf-8", True),
        ("csv", "text/plain; charset=utf-8", True),
        ("vtt", "text/plain; charset=utf-8", True),
        ("md", "text/plain; charset=utf-8", True),
        ("html", "text/html; charset=utf-8", True),
        ("json", "application/json", True),
        ("jsonl", "application/x-ndjson", False),
        ("srt", "application/x-subrip", False),
    ],
)
async def test_to_look_at(
    client: Any, service: ExportService, format: str, kind: str, inline: bool
) -> None:
    source = ExportSource("transcript", "1", {"segments": [{"start": 0, "end": 1, "text": "<b>"}]})
    job = await ended(service, source, format, user_id="ann")
    found = await client.get(f"/exports/{job.id}/file?inline=1")
    word = found.headers["content-disposition"].partition(";")[0]
    assert (word, found.headers["content-type"]) == ("inline" if inline else "attachment", kind)
    policy = found.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert found.headers["x-content-type-options"] == "nosniff"
    plain = await client.get(f"/exports/{job.id}/file")
    assert plain.headers["content-disposition"].startswith("attachment; filename=")
    assert plain.headers["content-type"] == job.content_type
    assert plain.content == found.content


@pytest.mark.parametrize(
    ("kind", "word"),
    [("image/svg+xml", "attachment"), ("application/pdf", "inline"), ("text/xml", "attachment")],
)
async def test_formats_of_ones_own_to_look_at(
    client: Any, service: ExportService, kind: str, word: str
) -> None:
    class Own:
        format, content_type = "own", kind

        async def export(self, _data: Any) -> bytes:
            return b"x"

    service.register_format(Own)
    job = await ended(service, ROWS, "own", user_id="ann")
    found = await client.get(f"/exports/{job.id}/file?inline=1")
    assert found.headers["content-disposition"].partition(";")[0] == word
    policy = found.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    # the viewers of browsers do not start in a sandbox
    assert ("sandbox" in policy) is (kind != "application/pdf")


async def test_ranges_are_for_get(client: Any, service: ExportService) -> None:
    job = await ended(service, ROWS, "csv", user_id="ann")
    found = await client.head(f"/exports/{job.id}/file", headers={"range": "bytes=0-1"})
    assert (found.status_code, found.headers["content-length"]) == (200, str(len(CSV)))
    assert "content-range" not in found.headers


@pytest.mark.parametrize("date", ["Sun, 29 Nov 2026 00:00:00 GMT", "W/{etag}", '"{sha}-x"'])
async def test_if_range_wants_the_same_file(client: Any, service: ExportService, date: str) -> None:
    job = await ended(service, ROWS, "csv", user_id="ann")
    condition = date.format(etag=f'"{job.sha256}"', sha=job.sha256)
    heads = {"range": "bytes=0-1", "if-range": condition}
    assert (await client.get(f"/exports/{job.id}/file", headers=heads)).status_code == 200


async def test_a_tag_within_another_does_not_match(client: Any, service: ExportService) -> None:
    job = await ended(service, ROWS, "csv", user_id="ann")
    for known, status in (
        (f'"{job.sha256}x", "y"', 200),
        (f'W/"{job.sha256}"', 304),
        (f'"y",  "{job.sha256}"', 304),
        (f"{job.sha256}", 200),
    ):
        found = await client.get(f"/exports/{job.id}/file", headers={"if-none-match": known})
        assert found.status_code == status
        assert found.headers["etag"] == f'"{job.sha256}"'


async def test_an_empty_file(client: Any, service: ExportService) -> None:
    class Empty:
        format, content_type = "empty", "text/plain"

        async def export(self, _data: Any) -> bytes:
            return b""

    service.register_format(Empty)
    job = await ended(service, ROWS, "empty", user_id="ann")
    found = await client.get(f"/exports/{job.id}/file")
    assert (found.status_code, found.content, found.headers["content-length"]) == (200, b"", "0")
    part = await client.get(f"/exports/{job.id}/file", headers={"range": "bytes=0-"})
    assert (part.status_code, part.headers["content-range"]) == (416, "bytes */0")


def test_every_range_of_a_small_file() -> None:
    """Against RFC 9110, section 14.1.2, written the slow way."""
    size = 5
    for first in ["", *map(str, range(8))]:
        for last in ["", *map(str, range(8))]:
            found = wanted_range(f"bytes={first}-{last}", None, '"x"', size)
            if (first and last and int(last) < int(first)) or not (first or last):
                assert found is None
                continue
            if first:
                meant = [n for n in range(size) if int(first) <= n <= int(last or size)]
            else:
                meant = list(range(size))[-int(last) :] if int(last) else []
            assert found == ((meant[0], meant[-1]) if meant else "outside")


def test_names_of_units_have_no_case() -> None:
    assert wanted_range("Bytes=0-1", None, '"x"', 5) == (0, 1)
    assert wanted_range("BYTES=-", None, '"x"', 5) is None
    assert wanted_range("octets=0-1", None, '"x"', 5) is None


async def test_a_link_that_works_once_for_two_at_once(client: Any, service: ExportService) -> None:
    job = await ended(service, ROWS, "csv", user_id="ann")
    for _ in range(20):
        token = await service.link(job.id, single_use=True)
        found = await asyncio.gather(*(client.get(f"/files/{token}") for _ in range(5)))
        assert sorted(each.status_code for each in found) == [200, 403, 403, 403, 403]


async def test_a_link_needs_nobody_and_takes_whom_it_is_for(
    client: Any, service: ExportService
) -> None:
    job = await ended(service, ROWS, "csv", user_id="ann")
    token = await service.link(job.id)
    for heads in ({"x-user": ""}, {"x-user": "bob"}, {"x-user": "", **CROSS}):
        found = await client.get(f"/files/{token}", headers=heads)
        assert found.content == CSV
        assert "access-control-allow-origin" not in found.headers
    bound = await service.link(job.id, user_id="ann")
    assert (await client.get(f"/files/{bound}", headers={"x-user": ""})).status_code == 403


@pytest.mark.parametrize("more", ["%0a", "%0d%0a", "%20", "=", "%00", "/", "%3d", "A"])
async def test_a_link_has_one_form(client: Any, service: ExportService, more: str) -> None:
    job = await ended(service, ROWS, "csv", user_id="ann")
    token = await service.link(job.id)
    assert (await client.get(f"/files/{token}")).status_code == 200
    assert (await client.get(f"/files/{token}{more}")).status_code in {403, 404}
    assert (await client.get(f"/files/{more}{token}")).status_code in {403, 404}


async def test_pages_of_other_sites(client: Any, service: ExportService) -> None:
    job = await ended(service, ROWS, "csv", user_id="ann")
    body = {"source": {"type": "custom", "id": "1", "data": {}}, "format": "csv"}
    for method, path in (
        ("POST", "/exports"),
        ("GET", "/exports"),
        ("POST", f"/exports/{job.id}/cancel"),
        ("POST", f"/exports/{job.id}/retry"),
        ("DELETE", f"/exports/{job.id}"),
        ("GET", f"/exports/{job.id}/events"),
        ("GET", f"/exports/{job.id}/file"),
    ):
        given = {"json": body} if path == "/exports" and method == "POST" else {}
        assert (await client.request(method, path, headers=CROSS, **given)).status_code == 403
    # without an Origin, a form of another site is told by what only browsers say
    heads = {"sec-fetch-site": "cross-site"}
    assert (await client.post(f"/exports/{job.id}/cancel", headers=heads)).status_code == 403
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain;x=y"):
        heads = {"content-type": kind}
        found = await client.post("/exports", content=b"{}", headers=heads)
        assert found.status_code == 415
    preflight = await client.options("/exports", headers=CROSS)
    assert (preflight.status_code, "access-control-allow-origin" in preflight.headers) == (
        403,
        False,
    )
    ours = {"origin": "https://app.example", "sec-fetch-site": "cross-site"}
    allowed = await client.options("/exports", headers=ours)
    assert allowed.status_code == 204
    assert "idempotency-key" in allowed.headers["access-control-allow-headers"]
    found = await client.get(f"/exports/{job.id}/file", headers=ours)
    assert found.status_code == 200
    assert "content-disposition" in found.headers["access-control-expose-headers"]


async def test_retry(client: Any, service: ExportService) -> None:
    bad = ExportSource("custom", "1", {"rows": 5})
    job = await ended(service, bad, "csv", user_id="ann")
    assert (
        await client.post(f"/exports/{job.id}/retry", headers={"x-user": "b"})
    ).status_code == 404
    again = await client.post(f"/exports/{job.id}/retry")
    assert (again.status_code, again.json()["id"]) == (202, job.id)
    assert (await service.wait(job.id, 60)).attempts == 2
    good = await ended(service, ROWS, "csv", user_id="ann")
    assert (await client.post(f"/exports/{good.id}/retry")).status_code == 409


async def test_bearer_tokens(client: Any) -> None:
    for value, status in (
        ("Bearer ann", 200),
        ("bearer  ann ", 200),
        ("Basic ann", 401),
        ("", 401),
    ):
        heads = {"x-user": "", "authorization": value}
        assert (await client.get("/formats", headers=heads)).status_code == status


@pytest.mark.parametrize("name", ["client.js", "client.d.ts"])
async def test_the_browsers_side_is_served_to_anybody(client: Any, name: str) -> None:
    data = files("exporter.asgi").joinpath("static", name).read_bytes()
    lasting = await client.get(f"/{client_path(name)}", headers={"x-user": ""})
    assert lasting.content == data
    assert "immutable" in lasting.headers["cache-control"]
    latest = await client.get(f"/client/latest/{name}")
    assert latest.headers["cache-control"] == "no-cache"
    assert latest.headers["x-content-type-options"] == "nosniff"
    known = {"if-none-match": latest.headers["etag"]}
    assert (await client.get(f"/client/latest/{name}", headers=known)).status_code == 304
    for other in ("__init__.py", "nothing.js", "..%2f__init__.py", "../../wire.py"):
        assert (await client.get(f"/client/latest/{other}")).status_code in {404, 405}
    with pytest.raises(ValueError, match=re.escape("client.d.ts")):
        client_path("nothing.js")


async def test_trouble_of_our_own_is_not_for_strangers(
    client: Any, service: ExportService, monkeypatch: pytest.MonkeyPatch
) -> None:
    from exporter import BackendError

    job = await ended(service, ROWS, "csv", user_id="ann")

    async def broken(_id: str) -> Any:
        raise BackendError("postgresql://secret@host does not answer", retryable=True)

    monkeypatch.setattr(service.history, "get", broken)
    found = await client.get(f"/exports/{job.id}")
    assert (found.status_code, found.json()) == (503, {"error": "try again later"})


async def test_what_was_changed_behind_our_back_is_no_download(tmp_path: Path) -> None:
    """The answer has begun: it ends short of its length, which every client takes for broken."""
    from exporter import StorageError

    async with ExportService.from_url(f"file://{tmp_path}") as service:
        job = await ended(service, ROWS, "csv", user_id="ann")
        assert job.file_path is not None
        assert hashlib.sha256(CSV).hexdigest() == job.sha256
        Path(job.file_path).write_bytes(CSV.replace(b"1", b"2"))
        app = create_app(service, authenticate=lambda _: "ann")
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            with pytest.raises(StorageError):
                await client.get(f"/exports/{job.id}/file")
