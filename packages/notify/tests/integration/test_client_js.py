"""client.js in headless Chromium: nothing lost, nothing twice, and the count is the server's."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

pytest.importorskip("playwright.async_api")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")
pytest.importorskip("starlette")

from _common.browser import sound_page, until, until_in, visiting
from browser_site import Site
from notify import Notification, NotificationService

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]  # one browser

WATCH = """async (options) => {
  const { NotifyClient, safeUrl } = await import("/notify/client/latest/client.js");
  window.safeUrl = safeUrl;
  window.client = new NotifyClient("/notify/", { retryMin: 50, ...options });
  window.seen = [];
  window.counts = [];
  window.errors = [];
  window.resets = 0;
  window.connections = [];
  client.addEventListener("connection", ({ detail }) => connections.push(detail));
  window.stop = client.watch({
    onEvent: ({ seq, kind, notification }) => seen.push([seq, kind, notification?.title]),
    onCount: (unread) => counts.push(unread),
    onReset: () => { resets += 1; },
    onTrouble: (error) => errors.push([error.code, error.status]),
  });
}"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Any]:
    async with visiting() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Any) -> AsyncIterator[Any]:
    async with sound_page(browser) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def service() -> AsyncIterator[NotificationService]:
    async with NotificationService.from_url("memory://") as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def site(service: NotificationService) -> AsyncIterator[Site]:
    made = Site(service)
    await made.start()
    yield made
    await made.stop()


def note(title: str, user_id: str = "anna", **more: Any) -> Notification:
    return Notification(title=title, user_id=user_id, **more)


async def watch(page: Any, site: Site, query: str = "", **options: Any) -> None:
    await page.goto(site.url + query)
    await page.evaluate(WATCH, options)


async def live(page: Any) -> None:
    await until_in(page, "client.connection === 'live'")


async def knows(page: Any, seq: int, unread: int) -> None:
    await until_in(page, f"client.seq === {seq} && client.unread === {unread}")


async def saw_all(page: Any, last: int, first: int = 1) -> None:
    """Every place of the sequence, once, in order."""
    assert [seq for seq, *_ in await page.evaluate("seen")] == list(range(first, last + 1))


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_the_network_is_cut_twice(
    site: Site, page: Any, service: NotificationService, transport: str
) -> None:
    await watch(page, site, transports=[transport])
    await live(page)
    first = await service.send(note("n1"))
    await knows(page, 1, 1)
    for cut in (1, 2):
        site.app.state.care.close()  # 1012 to sockets, the end of streams
        for n in range(3):
            await service.send(note(f"n{cut}.{n}"))
        await service.mark_as_read(first.id, "anna")
        await knows(page, {1: 5, 2: 8}[cut], {1: 3, 2: 6}[cut])
    assert await page.evaluate("client.transport") == transport
    await service.mark_all_as_read("anna")
    await knows(page, 9, 0)
    await saw_all(page, 9)


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_the_server_is_restarted(
    site: Site, page: Any, service: NotificationService, transport: str
) -> None:
    await watch(page, site, transports=[transport])
    await live(page)
    await service.send(note("before"))
    await knows(page, 1, 1)
    for _ in range(2):
        await site.stop()
        await until_in(page, "client.connection === 'retrying'")
        place, unread = await page.evaluate("[client.seq, client.unread]")
        for n in range(250):  # more than one answer holds
            await service.send(note(str(n)))
        await site.start()
        await knows(page, place + 250, unread + 250)
    await live(page)
    await saw_all(page, 501)


async def test_offline(site: Site, page: Any, service: NotificationService) -> None:
    await watch(page, site)
    await live(page)
    await page.context.set_offline(True)
    await until_in(page, "client.connection === 'offline'")
    sent = await service.send(note("one"))
    await service.send(note("two"))
    await service.archive(sent.id, "anna")
    await page.context.set_offline(False)
    await knows(page, 3, 1)
    await saw_all(page, 3)


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_a_wrong_token(site: Site, page: Any, transport: str) -> None:
    await watch(page, site, token="wrong", transports=[transport])
    await until_in(page, "errors.length > 0")
    assert await page.evaluate("errors") == [["unauthorized", 401]]
    assert await page.evaluate("client.connection") == "refused"
    assert await page.evaluate("[seen, counts]") == [[], []]


async def test_a_right_token(site: Site, page: Any, service: NotificationService) -> None:
    """By the subprotocol of the socket, and the header of requests: in no address."""
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    page.on("websocket", lambda socket: addresses.append(socket.url))
    await watch(page, site, "?as=nobody", token="bens")
    await live(page)
    await service.send(note("for ben", "ben"))
    await service.send(note("for anna"))
    await until_in(page, "seen.length === 1")
    assert await page.evaluate("[client.userId, client.transport]") == ["ben", "websocket"]
    assert await page.evaluate("seen") == [[1, "created", "for ben"]]
    assert not [each for each in addresses if "bens" in each]


async def test_sockets_do_not_get_through(
    site: Site, page: Any, service: NotificationService
) -> None:
    await site.stop()
    site.sockets = False
    await site.start()
    await watch(page, site)
    await until_in(page, "client.connection === 'live' && client.transport === 'sse'")
    await service.send(note("one"))
    await knows(page, 1, 1)
    site.streams = False
    site.app.state.care.close()
    await until_in(page, "client.transport === 'poll'")
    await service.send(note("two"))
    await knows(page, 2, 2)
    await saw_all(page, 2)


async def tabs_of(browser: Any, site: Site, count: int) -> tuple[Any, list[Any]]:
    context = await browser.new_context()
    tabs = [await context.new_page() for _ in range(count)]
    for tab in tabs:
        await watch(tab, site)
        await live(tab)
    return context, tabs


async def test_tabs_share_a_connection(
    site: Site, browser: Any, service: NotificationService
) -> None:
    context, tabs = await tabs_of(browser, site, 3)
    assert site.connections == 1
    assert [await tab.evaluate("client.isLeader") for tab in tabs] == [True, False, False]
    sent = await service.send(note("one"))
    for tab in tabs:
        await knows(tab, 1, 1)
    # read in one, seen in the others
    await tabs[2].evaluate("(id) => client.markAsRead(id)", sent.id)
    for tab in tabs:
        await knows(tab, 2, 0)
        await saw_all(tab, 2)
    await context.close()


async def test_the_tab_that_leads_is_closed(
    site: Site, browser: Any, service: NotificationService
) -> None:
    context, tabs = await tabs_of(browser, site, 3)
    await service.send(note("one"))
    await knows(tabs[2], 1, 1)
    await tabs[0].close()
    for n in range(5):
        await service.send(note(str(n)))
    await until_in(tabs[1], "client.isLeader && client.connection === 'live'")
    for tab in tabs[1:]:
        await knows(tab, 6, 6)
        await saw_all(tab, 6)
    await until(lambda: site.connections == 1)
    # the next one leads by going elsewhere and coming back
    await tabs[1].goto("about:blank")
    await service.send(note("seven"))
    await knows(tabs[2], 7, 7)
    await saw_all(tabs[2], 7)
    await context.close()


async def test_tabs_and_a_server_that_goes_and_comes(
    site: Site, browser: Any, service: NotificationService
) -> None:
    context, tabs = await tabs_of(browser, site, 2)
    for round_ in (1, 2):
        await site.stop()
        for tab in tabs:
            await until_in(tab, "client.connection === 'retrying'")
        for n in range(3):
            await service.send(note(f"{round_}.{n}"))
        await site.start()
        for tab in tabs:
            await knows(tab, round_ * 3, round_ * 3)
            await live(tab)
    for tab in tabs:
        await saw_all(tab, 6)
    await context.close()


async def test_a_tab_that_missed_what_the_leader_said(
    site: Site, browser: Any, service: NotificationService
) -> None:
    context, tabs = await tabs_of(browser, site, 2)
    await service.send(note("one"))
    await knows(tabs[1], 1, 1)
    # as if the second tab were frozen for a while
    await tabs[0].evaluate(
        """() => {
          const plain = BroadcastChannel.prototype.postMessage;
          window.lost = 0;
          BroadcastChannel.prototype.postMessage = function (message) {
            if (message.kind === "event" && lost < 2) { lost += 1; return; }
            plain.call(this, message);
          };
        }"""
    )
    for n in range(3):
        await service.send(note(str(n)))
    for tab in tabs:
        await knows(tab, 4, 4)
        await saw_all(tab, 4)
    assert await tabs[0].evaluate("lost") == 2
    await context.close()


async def test_another_user_signs_in(
    site: Site, browser: Any, service: NotificationService
) -> None:
    """Tabs of two users never share, and nothing of the first stays."""
    await service.send(note("annas", "anna"))
    context, [first] = await tabs_of(browser, site, 1)
    await knows(first, 1, 1)
    second = await context.new_page()
    await watch(second, site, "?as=bens")
    await live(second)
    await service.send(note("bens", "ben"))
    await knows(second, 1, 1)
    assert await second.evaluate("seen") == [[1, "created", "bens"]]
    site.app.state.care.close()  # the first tab comes back with the other user's cookie
    await until_in(first, "client.userId === 'ben' && client.connection === 'live'")
    assert await first.evaluate("[resets, client.seq, client.unread]") == [1, 1, 1]
    await service.send(note("for anna alone"))
    await service.send(note("ben again", "ben"))
    await until_in(first, "client.seq === 2")
    assert await first.evaluate("seen.map(([, , title]) => title)") == ["ben again"]
    await context.close()


async def test_asking_and_changing(site: Site, page: Any, service: NotificationService) -> None:
    await watch(page, site)
    await live(page)
    sent = [await service.send(note(f"n{n}", category="c" if n else None)) for n in range(3)]
    other = await service.send(note("bens", "ben"))
    listed = await page.evaluate("client.list({limit: 2, category: 'c'})")
    assert [each["title"] for each in listed["items"]] == ["n2", "n1"]
    assert (listed["unread"], listed["nextCursor"]) == (3, None)
    is_date = "client.get('{}').then((found) => found.timestamp instanceof Date)"
    assert await page.evaluate(is_date.format(sent[0].id))
    mine = await page.evaluate("client.getUserNotifications('anna', {unreadOnly: true})")
    assert len(mine) == 3
    refused = "client.{}.then(() => 'no', (error) => error.code)"
    for call in ("get", "markAsRead", "archive", "delete"):
        assert await page.evaluate(refused.format(f"{call}('{other.id}')")) == "not_found"
    for call in ("getUserNotifications('ben')", f"markAsRead('{sent[0].id}', 'ben')"):
        assert await page.evaluate(refused.format(call)) == "not_found"
    await page.evaluate("client.markAllAsRead({category: 'c'})")
    await page.evaluate("(id) => client.delete(id)", sent[1].id)
    await page.evaluate("(id) => client.archive(id)", sent[0].id)
    await until_in(page, "client.unread === 0 && client.seq === 6")
    given = {"channels": ["in-app"], "categories": {"news": False}}
    made = await page.evaluate("(prefs) => client.setPreferences('anna', prefs)", given)
    assert made["categories"]["news"] is not None
    assert await page.evaluate("client.getPreferences()") == made
    bad = refused.format("setPreferences(undefined, {nonsense: 1})")
    assert await page.evaluate(bad) == "invalid"


async def test_subscribing_by_the_contract(
    site: Site, page: Any, service: NotificationService
) -> None:
    await page.goto(site.url)
    await page.evaluate(
        """async () => {
          const { sharedClient, subscribe } = await import("/notify/client/latest/client.js");
          window.client = sharedClient();
          window.mine = [];
          window.others = [];
          window.stop = subscribe("anna", ({ title }) => mine.push(title));
          subscribe("ben", ({ title }) => others.push(title));
          client.subscribe(null, () => { if (mine.length === 1) throw new Error("broken"); });
          window.wrong = [];
          window.onerror = (text) => { wrong.push(text); return true; };
        }"""
    )
    await live(page)
    for n in range(3):
        await service.send(note(str(n)))
    await until_in(page, "mine.length === 3")
    assert await page.evaluate("[mine, others, wrong.length]") == [["0", "1", "2"], [], 1]
    await page.evaluate("stop()")
    await service.send(note("after"))
    await knows(page, 4, 4)
    assert await page.evaluate("mine.length") == 3


async def test_addresses_that_are_safe(site: Site, page: Any) -> None:
    await watch(page, site)
    for bad in ("javascript:alert(1)", " java\\nscript:alert(1)", "data:text/html,x", "vbscript:x",
                "blob:https://x/y", "http://"):  # fmt: skip
        assert await page.evaluate(f"safeUrl('{bad}')") is None
    assert await page.evaluate("safeUrl('/a?b#c')") == f"{site.url}a?b#c"
    assert await page.evaluate("safeUrl('https://example.com')") == "https://example.com/"


async def test_nobody_watches_any_more(site: Site, page: Any) -> None:
    await watch(page, site)
    await live(page)
    await page.evaluate("stop()")
    await until(lambda: site.connections == 0)
    assert await page.evaluate("client.connection") == "idle"


async def test_what_comes_twice_or_late_is_told_once(
    site: Site, page: Any, service: NotificationService
) -> None:
    await page.add_init_script(
        """{
          const Plain = WebSocket;
          let first;
          window.WebSocket = class extends Plain {
            set onmessage(listener) {
              super.onmessage = listener && ((event) => {
                first ??= event;
                for (const each of [event, event, first]) listener(each);
              });
            }
          };
        }"""
    )
    await watch(page, site)
    await live(page)
    for n in range(4):
        await service.send(note(str(n)))
        await knows(page, n + 1, n + 1)
    await saw_all(page, 4)
    assert await page.evaluate("counts") == [0, 1, 2, 3, 4]


BATCHES = """() => {
  window.batches = [];
  window.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", ({ data }) => {
        const { events } = JSON.parse(data);
        if (events) batches.push(events.map(({ seq }) => seq));
      });
    }
  };
}"""


async def test_what_was_missed_comes_in_one_message(
    site: Site, page: Any, service: NotificationService
) -> None:
    async def late(route: Any) -> None:
        """Answer, but only after more has come."""
        answer = await route.fetch()
        for n in range(3):
            await service.send(note(f"late {n}"))
        await route.fulfill(response=answer)

    await page.goto(site.url)
    await page.evaluate(BATCHES)
    await page.evaluate(WATCH, {"transports": ["websocket"]})
    await live(page)
    await service.send(note("first"))
    await knows(page, 1, 1)
    await page.route("**/changes?*", late, times=1)
    site.app.state.care.close()
    await knows(page, 4, 4)
    await saw_all(page, 4)
    assert await page.evaluate("batches") == [[2, 3, 4]]
