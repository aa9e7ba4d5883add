"""Response cache, dependencies, Django backend, OpenTelemetry."""

import asyncio
import json
import re
from pathlib import Path
from typing import Annotated, Any

import pytest

from tiered_cache import CacheProvider
from tiered_cache.testing import FakeClock

httpx = pytest.importorskip("httpx")


@pytest.fixture
def served() -> list[str]:
    return []


@pytest.fixture
def app(cache: CacheProvider, served: list[str]) -> Any:
    """A FastAPI application behind a response cache."""
    fastapi = pytest.importorskip("fastapi")
    from starlette.responses import PlainTextResponse, Response, StreamingResponse

    from tiered_cache.integrations.fastapi import ResponseCache, cached, lifespan, provide

    made = fastapi.FastAPI(lifespan=lifespan(cache))
    made.add_middleware(ResponseCache, cache=cache, ttl=60, tags=["pages"], max_body=1000)
    Cache = Annotated[CacheProvider, fastapi.Depends(provide(cache))]

    @made.get("/users/{user_id}", dependencies=[fastapi.Depends(cached(5, ["user:{user_id}"]))])
    async def user(user_id: int, inner: Annotated[Any, fastapi.Depends(provide(cache))]) -> Any:
        assert inner is cache
        served.append(f"user {user_id}")
        await asyncio.sleep(0)
        return {"id": user_id, "n": len(served)}

    def plain(path: str, **headers: str) -> None:
        async def page() -> Any:
            served.append(path)
            return PlainTextResponse(f"{path} {len(served)}", headers=headers)

        made.get(path)(page)

    plain("/page")
    plain("/private", **{"Cache-Control": "private"})
    plain("/short", **{"Cache-Control": "max-age=2"})
    plain("/cookie", **{"Set-Cookie": "a=b"})
    plain("/varies", Vary="X-Tenant")
    plain("/tagged", ETag='"mine"')

    @made.get("/big")
    async def big() -> Any:
        served.append("/big")
        return StreamingResponse(iter([b"x" * 600] * 3))

    @made.get("/late")
    async def late() -> Any:
        from starlette.background import BackgroundTask

        async def after() -> None:
            served.append("after")

        return Response(b"soon", background=BackgroundTask(after))

    rules = fastapi.Depends(cached(5, ["{name}:{other}"]))

    @made.get("/named/{name}/{other}", dependencies=[rules])
    async def named(name: str, other: str) -> Any:
        served.append(f"{name} {other}")
        return {}

    @made.get("/gone")
    async def gone() -> Any:
        served.append("/gone")
        return PlainTextResponse("gone", status_code=404)

    @made.get("/broken")
    async def broken() -> Any:
        served.append("/broken")
        raise LookupError("mine")

    @made.post("/page")
    async def change(inner: Cache) -> Any:
        await inner.invalidate(["pages"])
        return {}

    return made


@pytest.fixture
async def web(app: Any) -> Any:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://site"
    ) as client:
        yield client


async def test_responses_are_kept_and_validated(web: Any, served: list[str]) -> None:
    first, second = await web.get("/page"), await web.get("/page")
    assert (first.text, second.text, served) == ("/page 1", "/page 1", ["/page"])
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    assert first.headers["cache-control"] == "max-age=60"
    assert "accept-language" in first.headers["vary"]
    known = {"If-None-Match": f'"other", W/{first.headers["etag"]}'}
    third = await web.get("/page", headers=known)
    assert (third.status_code, third.content) == (304, b"")
    assert third.headers["etag"] == first.headers["etag"]
    assert "content-type" not in third.headers
    assert (await web.get("/tagged")).headers["etag"] == '"mine"'
    assert (await web.get("/tagged", headers={"If-None-Match": '"mine"'})).status_code == 304
    assert (await web.head("/page")).status_code == 405
    await web.post("/page")
    assert (await web.get("/page")).text == "/page 3"


@pytest.mark.parametrize("path", ["/private", "/cookie", "/varies", "/big"])
async def test_what_may_not_be_kept(web: Any, served: list[str], path: str) -> None:
    assert [(await web.get(path)).status_code for _ in range(2)] == [200, 200]
    assert served == [path, path]


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer x"},
        {"Cookie": "a=b"},
        {"Cache-Control": "no-store"},
        {"Cache-Control": "no-cache"},
        {"Range": "bytes=0-1"},
    ],
)
async def test_who_is_not_served_from_it(
    web: Any, served: list[str], headers: dict[str, str]
) -> None:
    await web.get("/page")
    assert (await web.get("/page", headers=headers)).text == "/page 2"
    assert (await web.get("/page")).text == "/page 1"


async def test_conditions_are_for_successes(web: Any, served: list[str]) -> None:
    for _ in range(2):
        assert (await web.get("/gone", headers={"If-None-Match": "*"})).status_code == 404
    assert served == ["/gone"]


@pytest.mark.parametrize(("length", "calls"), [(3, 1), (190, 1), (250, 2)])
async def test_tags_of_long_paths(
    web: Any, cache: CacheProvider, served: list[str], length: int, calls: int
) -> None:
    """Whoever invalidates by the whole name meets the response, or it is not kept."""
    path = f"/named/{'n' * length}/{{name}}"
    for _ in range(2):
        await web.get(path)
    assert len(served) == calls
    if calls == 1:
        await cache.invalidate([f"{'n' * length}:{{name}}"])
        await web.get(path)
        assert len(served) == 2


def test_what_is_wrong_is_told_when_the_application_is_built(cache: CacheProvider) -> None:
    pytest.importorskip("fastapi")
    from tiered_cache import ConfigurationError
    from tiered_cache.integrations.fastapi import ResponseCache, cached
    from tiered_cache.integrations.starlette import mark

    async def app(*_: Any) -> None: ...

    for name, value in (
        ("ttl", 0), ("ttl", "60"), ("tags", "pages"), ("tags", [""]), ("vary", "accept"),
        ("max_body", -1),
    ):  # fmt: skip
        with pytest.raises(ConfigurationError, match=name):
            ResponseCache(app, cache, **{name: value})
    for named in ({"ttl": 0}, {"ttl": float("nan")}, {"tags": "users"}):
        with pytest.raises(ConfigurationError, match=next(iter(named))):
            cached(**named)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match=next(iter(named))):
            mark({}, **named)  # type: ignore[arg-type]


async def test_urls_and_headers_part_the_keys(web: Any, served: list[str]) -> None:
    for url, headers in (
        ("/page", {}),
        ("/page?a=1", {}),
        ("/page?a=2", {}),
        ("/page", {"Accept": "text/plain"}),
        ("/page", {"Accept-Language": "fr"}),
        ("/page", {"Host": "elsewhere"}),
    ):
        await web.get(url, headers=headers)
    assert len(served) == 6


async def test_routes_say_ttl_and_tags(
    web: Any, cache: CacheProvider, clock: FakeClock, served: list[str]
) -> None:
    assert [(await web.get("/users/1")).json()["n"] for _ in range(2)] == [1, 1]
    assert (await web.get("/users/2")).json()["n"] == 2
    await cache.invalidate(["user:1"])
    assert (await web.get("/users/1")).json()["n"] == 3
    assert (await web.get("/users/2")).json()["n"] == 2
    await clock.advance(6)
    assert (await web.get("/users/2")).json()["n"] == 4
    await web.get("/short")
    await clock.advance(3)
    await web.get("/short")
    assert served.count("/short") == 2


async def test_one_request_reaches_the_application(web: Any, served: list[str]) -> None:
    answers = await asyncio.gather(*(web.get("/users/7") for _ in range(30)))
    assert {each.json()["n"] for each in answers} == {1}
    # what is one request's alone is not given to those that came at the same time
    answers = await asyncio.gather(*(web.get("/cookie") for _ in range(5)))
    assert len({each.text for each in answers}) == 5


async def test_errors_and_background_tasks_pass(web: Any, served: list[str]) -> None:
    for _ in range(2):
        with pytest.raises(LookupError, match="mine"):
            await web.get("/broken")
    assert served == ["/broken", "/broken"]
    assert (await web.get("/late")).content == b"soon"
    assert served[-1] == "after"


async def test_opentelemetry_reads_the_counters(cache: CacheProvider) -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.metrics")
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    from tiered_cache.integrations.opentelemetry import instrument

    reader = InMemoryMetricReader()
    provider = sdk.MeterProvider(metric_readers=[reader])
    unused = CacheProvider()
    instrument(unused, meter=provider.get_meter("u"), name="unused")
    instrument(cache, meter=provider.get_meter("t"), name="mine")
    await cache.set("secret-key", 1)
    await cache.get("secret-key")
    await cache.get("other")
    data = reader.get_metrics_data()
    points = {
        (metric.name, *sorted(point.attributes.items())): point.value
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }
    assert points["tiered_cache.hits", ("cache", "mine"), ("tier", "l1")] == 1
    assert points["tiered_cache.misses", ("cache", "mine")] == 1
    assert points["tiered_cache.l1.keys", ("cache", "mine")] == 1
    assert "secret" not in str(points)
    assert "unused" not in str(points)
    provider.shutdown()


def test_the_board_shows_metrics_that_exist() -> None:
    from tiered_cache.integrations import opentelemetry

    board = Path(opentelemetry.__file__).with_name("grafana.json")
    shown = json.loads(board.read_text(encoding="utf-8"))
    names = {*opentelemetry.COUNTERS, *opentelemetry.GAUGES}
    names |= {"tiered_cache.hits", "tiered_cache.evictions"}
    known = {name.replace(".", "_") for name in names}
    text = json.dumps([panel["targets"] for panel in shown["panels"]])
    used = set(re.findall(r"tiered_cache_[a-z0-9_]+", text))
    stems = {re.sub(r"(_total|_seconds_total|_bytes|_ratio)$", "", name) for name in used}
    assert stems <= known, stems - known
    assert len(shown["panels"]) >= 6


def test_the_recipe_for_flask() -> None:
    flask = pytest.importorskip("flask")
    from tiered_cache.sync import CacheProvider as Blocking

    app, calls = flask.Flask("app"), list[int]()
    with Blocking.from_url("memory://") as blocking:

        @blocking.cached(ttl=300, tags=["users"], key="user:{user_id}")
        def load_user(user_id: int) -> dict[str, int]:
            calls.append(user_id)
            return {"id": user_id}

        rule = "/users/<int:user_id>"
        app.get(rule, endpoint="read")(lambda user_id: flask.jsonify(load_user(user_id)))
        app.put(rule, endpoint="change")(lambda user_id: load_user.invalidate(user_id) and "")
        client = app.test_client()
        assert [client.get("/users/5").json for _ in range(2)] == [{"id": 5}] * 2
        assert calls == [5]
        assert client.put("/users/5").status_code == 200
        client.get("/users/5")
        assert calls == [5, 5]
