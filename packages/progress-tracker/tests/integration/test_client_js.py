"""client.js in headless Chromium: no end missed and no state twice, whatever is cut."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("playwright.async_api")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")
pytest.importorskip("starlette")

from _common.browser import sound_page, until, until_in, visiting
from browser_site import Site
from progress_tracker import ProgressTracker, Settings
from progress_tracker.adapters.memory import MemoryStore

pytestmark = pytest.mark.slow

WATCH = """async ({ids, options}) => {
  const { ProgressClient } = await import("/progress/client/latest/client.js");
  window.client = new ProgressClient("/progress/", { retryMin: 50, ...options });
  window.seen = Object.fromEntries(ids.map((id) => [id, []]));
  window.errors = [];
  window.connections = [];
  client.addEventListener("connection", ({ detail }) => connections.push(detail));
  window.stops = ids.map((id) => client.watch(
    id,
    (state) => seen[id].push([state.epoch, state.version, state.status, state.progress]),
    (error) => errors.push([id, error.code, error.status]),
  ));
}"""


HELD = """(() => {
  const [begin, end, held] = [setTimeout, clearTimeout, new Map()];
  window.setTimeout = (call, after, ...rest) => {
    if (after !== 5000) return begin(call, after, ...rest);
    held.set(-1 - held.size, call);
    return -held.size;
  };
  window.clearTimeout = (timer) => held.delete(timer) || end(timer);
  window.fiveSeconds = () => {
    for (const [timer, call] of [...held]) if (held.delete(timer)) call();
  };
})()"""
"""Timers of five seconds run when a test says so."""


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    async with visiting() as made:
        yield made


@pytest.fixture
async def page(browser: Any) -> AsyncIterator[Any]:
    async with sound_page(browser) as made:
        yield made


@pytest.fixture
async def tracker() -> AsyncIterator[ProgressTracker]:
    async with ProgressTracker.from_url("memory://") as made:
        await made.create(id="a", user_id="anna", metadata={"title": "Import"})
        yield made


@pytest.fixture
async def site(tracker: ProgressTracker) -> AsyncIterator[Site]:
    made = Site(tracker)
    await made.start()
    yield made
    await made.stop()


async def watch(page: Any, site: Site, *ids: str, **options: Any) -> None:
    await page.goto(site.url)
    await page.evaluate(WATCH, {"ids": list(ids), "options": options})


async def states(page: Any, id: str) -> list[Any]:
    return list(await page.evaluate("(id) => seen[id]", id))


async def saw(page: Any, id: str, version: int, epoch: int = 1) -> None:
    position = f"seen['{id}'].some(([e, v]) => e === {epoch} && v === {version})"
    await until_in(page, position)


async def is_in_order(page: Any, id: str, ends: list[str]) -> None:
    """Rising positions, each once, and exactly the ends that there were."""
    found = await states(page, id)
    places = [(epoch, version) for epoch, version, *_ in found]
    assert places == sorted(set(places))
    final = {"completed", "failed", "cancelled"}
    assert [status for _, _, status, _ in found if status in final] == ends


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_cut_twice(site: Site, page: Any, tracker: ProgressTracker, transport: str) -> None:
    await watch(page, site, "a", transports=[transport])
    await saw(page, "a", 1)
    for n in (1, 2):
        site.app.state.care.close()  # 1012 to sockets, the end of streams
        await tracker.update("a", n * 10)
        await saw(page, "a", n + 1)
    assert await page.evaluate("client.transport") == transport
    await tracker.complete("a")
    await saw(page, "a", 4)
    await is_in_order(page, "a", ["completed"])


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_the_server_is_restarted(
    site: Site, page: Any, tracker: ProgressTracker, transport: str
) -> None:
    await watch(page, site, "a", transports=[transport])
    await saw(page, "a", 1)
    await site.stop()
    await until_in(page, "client.connection === 'retrying'")
    for n in range(5):
        await tracker.update("a", n + 1)
    await tracker.complete("a")
    await site.start()
    await saw(page, "a", 7)
    await is_in_order(page, "a", ["completed"])


async def test_offline(site: Site, page: Any, tracker: ProgressTracker) -> None:
    await watch(page, site, "a")
    await saw(page, "a", 1)
    await page.context.set_offline(True)
    await until_in(page, "client.connection === 'offline'")
    await tracker.update("a", 50)
    await tracker.complete("a")
    await page.context.set_offline(False)
    await saw(page, "a", 3)
    await is_in_order(page, "a", ["completed"])


async def test_two_tabs(site: Site, browser: Any, tracker: ProgressTracker) -> None:
    context = await browser.new_context()
    tabs = [await context.new_page() for _ in range(2)]
    for tab in tabs:
        await watch(tab, site, "a")
        await saw(tab, "a", 1)
    await tracker.update("a", 10)
    for tab in tabs:
        await saw(tab, "a", 2)
    await tabs[0].close()
    await until(lambda: site.connections == 1)
    await tracker.complete("a")
    await saw(tabs[1], "a", 3)
    await is_in_order(tabs[1], "a", ["completed"])
    await context.close()


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_a_wrong_token(site: Site, page: Any, transport: str) -> None:
    await watch(page, site, "a", token="wrong", transports=[transport])
    await until_in(page, "errors.length > 0")
    assert await page.evaluate("errors") == [["a", "unauthorized", 401]]
    assert await page.evaluate("client.connection") == "refused"
    assert await states(page, "a") == []


async def test_a_right_token(site: Site, page: Any, tracker: ProgressTracker) -> None:
    """By the subprotocol of the socket, and the header of requests: in no address."""
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    page.on("websocket", lambda socket: addresses.append(socket.url))
    await page.goto(f"{site.url}?as=nobody")
    await tracker.create(id="b", user_id="ben")
    await page.evaluate(WATCH, {"ids": ["b"], "options": {"token": "bens"}})
    await saw(page, "b", 1)
    assert await page.evaluate("client.transport") == "websocket"
    assert (await page.evaluate("client.get('b')"))["id"] == "b"
    assert not [each for each in addresses if "bens" in each]


async def test_a_new_epoch(site: Site, page: Any, tracker: ProgressTracker) -> None:
    await watch(page, site, "a")
    await saw(page, "a", 1)
    await tracker.update("a", 60)
    await saw(page, "a", 2)
    async with tracker.track("a") as handle:  # another worker takes it over
        await until_in(page, "seen.a.some(([epoch]) => epoch === 2)")
        handle.update(30)
    await until_in(page, "seen.a.at(-1)[2] === 'completed'")
    await tracker.restart("a")
    await page.evaluate("client.refresh('a')")
    await until_in(page, "seen.a.at(-1)[0] === 3")
    await tracker.fail("a", "broken")
    await until_in(page, "seen.a.at(-1)[2] === 'failed'")
    await is_in_order(page, "a", ["completed", "failed"])


async def test_many_operations_share_a_socket(
    site: Site, page: Any, tracker: ProgressTracker
) -> None:
    ids = [f"n{n}" for n in range(40)]
    for id in ids:
        await tracker.create(id=id, user_id="anna")
    sockets: list[Any] = []
    page.on("websocket", lambda socket: sockets.append(socket))  # noqa: PLW0108 - it needs a name
    await watch(page, site, *ids, "unknown")
    for id in ids:
        await saw(page, id, 1)
    await until_in(page, "errors.length === 1")
    assert await page.evaluate("errors") == [["unknown", "not_found", 404]]
    assert (len(sockets), site.connections) == (1, 1)
    await page.evaluate("stops.slice(0, 39).forEach((stop) => stop())")
    await until(lambda: tracker.get_stats().watchers == 1)
    await tracker.complete("n39")
    await saw(page, "n39", 2)
    await until(lambda: site.connections == 0)


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_what_is_watched_while_the_connection_is_about_to_rest(
    site: Site, page: Any, tracker: ProgressTracker, transport: str
) -> None:
    """Some seconds after the last end it rests: not if there is something to watch again."""
    await page.add_init_script(HELD)
    await watch(page, site, "a", transports=[transport])
    await saw(page, "a", 1)
    await tracker.complete("a")
    await saw(page, "a", 2)
    await tracker.create(id="b", user_id="anna")
    await page.evaluate(
        "() => { seen.b = []; client.watch('b', (s) => seen.b.push([s.epoch, s.version])); }"
    )
    await saw(page, "b", 1)
    await page.evaluate("fiveSeconds()")
    await tracker.update("b", 50)
    await saw(page, "b", 2)
    assert await page.evaluate("client.connection") == "live"
    await tracker.complete("b")
    await saw(page, "b", 3)
    await page.evaluate("fiveSeconds()")
    await until_in(page, "client.connection === 'idle'")


async def test_sockets_do_not_get_through(site: Site, page: Any, tracker: ProgressTracker) -> None:
    await site.stop()
    site.sockets = False
    await site.start()
    await tracker.create(id="b", user_id="anna")
    await watch(page, site, "a", "b")
    await until_in(page, "client.transport === 'sse' && client.connection === 'live'")
    for id in "ab":
        await saw(page, id, 1)
    await tracker.update("b", 10)
    await saw(page, "b", 2)
    # nor do streams
    site.streams = False
    site.app.state.care.close()
    await page.evaluate(
        """async () => {
          stops.forEach((stop) => stop());
          client.close();
        }"""
    )
    await page.evaluate(
        WATCH, {"ids": ["a", "b"], "options": {"transports": ["poll"], "pollInterval": 50}}
    )
    await saw(page, "a", 1)
    await tracker.complete("a")
    await tracker.complete("b")
    await saw(page, "a", 2)
    await saw(page, "b", 3)
    for id in "ab":
        await is_in_order(page, id, ["completed"])


async def test_what_comes_twice_or_late_is_told_once(
    site: Site, page: Any, tracker: ProgressTracker
) -> None:
    await page.add_init_script(
        """{
          const Plain = WebSocket;
          let first;
          window.WebSocket = class extends Plain {
            set onmessage(listener) {
              super.onmessage = (event) => {
                first ??= event;
                for (const each of [event, event, first]) listener(each);
              };
            }
          };
        }"""
    )
    await watch(page, site, "a")
    await saw(page, "a", 1)
    for n in range(3):
        await tracker.update("a", n + 1)
        await saw(page, "a", n + 2)
    await tracker.complete("a")
    await saw(page, "a", 5)
    await is_in_order(page, "a", ["completed"])


async def test_sockets_are_elsewhere(page: Any) -> None:
    """Where the settings say: pages are told once they do not find them here."""
    store = MemoryStore()
    async with ProgressTracker(store=store) as theirs:
        elsewhere = Site(theirs)
        socket = elsewhere.url.replace("http", "ws") + "progress/ws/progress"
        settings = Settings.from_mapping({"realtime": {"websocket_url": socket}})
        async with ProgressTracker(settings, store=store) as ours:
            await ours.create(id="a", user_id="anna")
            here = Site(ours)
            here.sockets = False
            elsewhere.allowed_origins = [here.url.rstrip("/")]
            await here.start()
            await elsewhere.start()
            await watch(page, here, "a")
            await until_in(page, "client.connection === 'live'")
            assert await page.evaluate("client.transport") == "websocket"
            assert (here.connections, elsewhere.connections) == (0, 1)
            await theirs.complete("a")
            await saw(page, "a", 2)
            await is_in_order(page, "a", ["completed"])
            await here.stop()
            await elsewhere.stop()


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_an_operation_that_does_not_exist_yet(
    site: Site, page: Any, tracker: ProgressTracker, transport: str
) -> None:
    await watch(page, site, "a", transports=[transport])
    await saw(page, "a", 1)
    await page.evaluate(
        """() => {
          seen.late = [];
          client.watch(
            "late",
            (state) => seen.late.push([state.epoch, state.version, state.status, state.progress]),
            (error) => errors.push(["late", error.code, error.status]),
            { patience: 30 },
          );
          client.watch("never", () => {}, (error) => errors.push(["never", error.code]));
        }"""
    )
    await until_in(page, "errors.length === 1")
    await tracker.create(id="late", user_id="anna")
    await saw(page, "late", 1)
    await tracker.complete("late")
    await saw(page, "late", 2)
    await is_in_order(page, "late", ["completed"])
    assert await page.evaluate("errors") == [["never", "not_found"]]


async def test_asking_and_cancelling(site: Site, page: Any, tracker: ProgressTracker) -> None:
    await tracker.create(id="b", user_id="ben")
    await tracker.create(id="x/y ?#%", user_id="anna", kind="odd")
    await page.goto(site.url)
    await page.evaluate(WATCH, {"ids": [], "options": {}})
    got = await page.evaluate("client.get('x/y ?#%')")
    assert (got["kind"], got["metadata"]) == ("odd", {})
    is_date = "client.get('a').then((found) => found.createdAt instanceof Date)"
    assert await page.evaluate(is_date)
    page_of = await page.evaluate("client.list({status: ['pending', 'failed'], kind: 'odd'})")
    assert [each["id"] for each in page_of["items"]] == ["x/y ?#%"]
    assert (await page.evaluate("client.cancel('x/y ?#%')"))["cancelRequested"]
    refused = "client.{}.then(() => 'no', (error) => error.code)"
    for call in ("get('b')", "cancel('b')", "get('nothing')"):
        assert await page.evaluate(refused.format(call)) == "not_found"
    await tracker.complete("a")
    assert await page.evaluate(refused.format("cancel('a')")) == "conflict"


ODD = ["events", "..", "a/events", "a/cancel", "../a", "client/latest/client.js", "//", "é %2F?#"]


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_ids_that_are_other_paths(
    site: Site, page: Any, tracker: ProgressTracker, transport: str
) -> None:
    for id in ODD:
        await tracker.create(id=id, user_id="anna")
    await watch(page, site, *ODD, transports=[transport], pollInterval=50)
    for id in ODD:
        await saw(page, id, 1)
        assert (await page.evaluate("(id) => client.get(id)", id))["id"] == id
        assert (await page.evaluate("(id) => client.cancel(id)", id))["id"] == id
        await saw(page, id, 2)
        await tracker.complete(id)
    for id in ODD:
        await saw(page, id, 3)
        await is_in_order(page, id, ["completed"])
    assert await page.evaluate("errors") == []
    assert not (await tracker.get("a")).cancel_requested


async def test_a_listener_that_breaks_takes_nothing_from_others(
    site: Site, browser: Any, tracker: ProgressTracker
) -> None:
    page = await browser.new_page()
    await watch(page, site, "a")
    await saw(page, "a", 1)
    await page.evaluate(
        """() => {
          window.calls = 0;
          client.watch("a", () => { calls += 1; throw new Error("mine"); });
        }"""
    )
    await until_in(page, "calls === 1")
    await tracker.update("a", 5)
    await saw(page, "a", 2)
    await tracker.complete("a")
    await saw(page, "a", 3)
    await page.close()
