"""Answers that come late: they take back nothing newer, speak for nobody else, take no focus."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

pytest.importorskip("playwright.async_api")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")
pytest.importorskip("starlette")

from _common.browser import sound_page, until, until_in, visiting
from _common.held import holding
from browser_site import SEVEN_SECONDS, Site
from notify import Notification, NotificationService

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]  # one browser

SHOW = """async (markup) => {
  await import("/notify/client/latest/elements.js");
  document.body.innerHTML = markup;
}"""
BELL = "document.querySelector('notification-bell').shadowRoot"
LIST = "document.querySelector('notification-list').shadowRoot"
INNER = f"{BELL}.querySelector('notification-list').shadowRoot"
TITLES = "[...{}.querySelectorAll('li .title')].map((each) => each.lastChild.textContent).join()"
TOASTS = f"[...{BELL}.querySelectorAll('.toast .title')].map((each) => each.textContent).join()"
PLAIN_LIST = "<notification-list></notification-list>"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Any]:
    async with visiting() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Any) -> AsyncIterator[Any]:
    """A page of which no script fails, and whose toasts stay until a test ends their time."""
    async with sound_page(browser, locale="en-GB") as made:
        await made.add_init_script(SEVEN_SECONDS)
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


async def show(page: Any, site: Site, markup: str) -> None:
    await page.goto(site.url)
    await page.evaluate(SHOW, markup)


async def titles(page: Any, expected: str, root: str = LIST) -> None:
    await until_in(page, f"{TITLES.format(root)} === {expected!r}", TITLES.format(root))


async def live(page: Any, tag: str = "notification-list") -> None:
    await until_in(page, f"document.querySelector('{tag}').client.connection === 'live'")


async def sign_in(page: Any, site: Site, token: str | None) -> None:
    """The page's cookie; the connections that are open are cut."""
    await page.context.clear_cookies()
    if token is not None:
        await page.context.add_cookies([{"name": "token", "value": token, "url": site.url}])
    site.app.state.care.close()


async def test_a_count_that_was_asked_for_before(
    site: Site, page: Any, service: NotificationService
) -> None:
    """What a tab asks for while its socket opens may come after what the socket tells."""
    sent = await service.send(note("one"))
    await page.goto(site.url)
    await page.evaluate(
        """async () => {
          const { NotifyClient } = await import("/notify/client/latest/client.js");
          window.asked = 0;
          const gate = new Promise((open) => { window.open_ = open; });
          const token = () => ((asked += 1) === 3 ? gate : null); // the third is the socket's
          window.client = new NotifyClient("/notify/", { token, transports: ["websocket"] });
          window.counts = [];
          client.watch({ onCount: (unread) => counts.push(unread) });
        }"""
    )
    await until_in(page, "client.unread === 1 && asked === 3")
    async with holding(page, "**/changes?*") as older:
        await page.evaluate("(id) => { void client.markAsRead(id); }", sent.id)
        await older.asked()
        await page.evaluate("open_(null)")
        await until_in(page, "client.connection === 'live'")
        await service.send(note("two"))
        await service.send(note("three"))
        await until_in(page, "client.seq === 4")
        await older.come()
    assert await page.evaluate("[client.seq, client.unread]") == [4, 2]
    assert await page.evaluate("counts") == [1, 0, 1, 2]


async def test_the_former_users_connection_does_not_go_on(
    site: Site, page: Any, service: NotificationService
) -> None:
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    await show(page, site, PLAIN_LIST)
    await live(page)
    await service.send(note("bens", "ben"))
    await sign_in(page, site, "bens")
    await titles(page, "bens")
    await live(page)
    assert [url.partition("?")[2].partition("&")[0] for url in sockets] == ["since=0", "since=1"]


async def test_who_has_stopped_hears_nothing_more(
    site: Site, page: Any, service: NotificationService
) -> None:
    await page.goto(site.url)
    await page.evaluate(
        """async () => {
          const { NotifyClient } = await import("/notify/client/latest/client.js");
          window.client = new NotifyClient("/notify/");
          window.heard = [];
          client.watch({ onEvent: () => { heard.push("first"); stop(); } });
          const stop = client.watch({ onEvent: () => heard.push("second") });
        }"""
    )
    await until_in(page, "client.connection === 'live'")
    await service.send(note("one"))
    await until_in(page, "client.seq === 1")
    assert await page.evaluate("heard") == ["first"]


async def test_a_page_that_comes_after_signing_out(
    site: Site, page: Any, service: NotificationService
) -> None:
    await service.send(note("secret"))
    await show(page, site, PLAIN_LIST)
    await titles(page, "secret")
    await live(page)
    empty = f"{LIST}.querySelector('.empty').textContent.startsWith('Sign in')"
    async with holding(page, "**/notifications?*") as older:
        await page.get_by_role("button", name="Unread").click()
        await older.asked()
        await sign_in(page, site, None)
        await until_in(page, empty)
        await older.come()
    assert await page.evaluate(empty)
    assert await page.evaluate(TITLES.format(LIST)) == ""
    # and who signs in again finds it there
    await sign_in(page, site, "annas")
    await page.evaluate("document.querySelector('notification-list').client.reconnect()")
    await titles(page, "secret")


async def test_the_focus_is_not_taken_by_what_comes_late(
    site: Site, page: Any, service: NotificationService
) -> None:
    await service.send(note("one"))
    await show(page, site, "<notification-bell></notification-bell><input>")
    await live(page, "notification-bell")
    async with holding(page, "**/notifications?*") as older:
        await page.get_by_role("button", name="Notifications").click()
        await older.asked()
        await page.locator("input").focus()
        await older.come()
    await titles(page, "one", INNER)
    await page.keyboard.type("e")
    assert await page.input_value("input") == "e"


async def test_more_by_keyboard(site: Site, page: Any, service: NotificationService) -> None:
    """The button is busy, not gone; and at the end one goes on at what it brought."""
    for n in range(5):
        await service.send(note(f"n{n}"))
    await show(page, site, '<notification-list limit="2"></notification-list>')
    await titles(page, "n4,n3")
    at = f"{LIST}.activeElement"
    more = page.get_by_role("button", name="Show more")
    await more.focus()
    asked: list[str] = []
    page.on("request", lambda each: asked.append(each.url) if "cursor=" in each.url else None)
    async with holding(page, "**/notifications?*") as older:
        await page.keyboard.press("Enter")
        await older.asked()
        await page.keyboard.press("Enter")  # the second of two
        await page.evaluate("new Promise(requestAnimationFrame)")
        assert await page.evaluate(f"{at}?.className") == "more"
        await older.come()
    await titles(page, "n4,n3,n2,n1")
    assert len(asked) == 1
    assert await page.evaluate(f"{at}?.className") == "more"
    await page.keyboard.press("Enter")
    await titles(page, "n4,n3,n2,n1,n0")
    await until_in(page, f"{at}?.querySelector('.title')?.lastChild.textContent === 'n0'")


async def test_all_read_by_keyboard(site: Site, page: Any, service: NotificationService) -> None:
    await service.send(note("one"))
    await show(page, site, PLAIN_LIST)
    await titles(page, "one")
    await page.get_by_role("button", name="Mark all read").focus()
    await page.keyboard.press("Enter")
    await until_in(page, f"{LIST}.querySelector('.all').ariaDisabled === 'true'")
    await page.evaluate("new Promise(requestAnimationFrame)")
    assert await page.evaluate(f"{LIST}.activeElement?.className") == "all"
    asked: list[str] = []
    page.on("request", lambda each: asked.append(each.url))
    await page.keyboard.press("Enter")  # there is nothing to mark
    await page.evaluate("new Promise(requestAnimationFrame)")
    assert asked == []


async def test_again_by_keyboard(site: Site, page: Any, service: NotificationService) -> None:
    await service.send(note("one"))
    tried: list[str] = []

    async def refuse(route: Any) -> None:
        tried.append(route.request.url)
        await route.abort()

    await page.route("**/notifications?*", refuse)
    await show(page, site, PLAIN_LIST)
    await live(page)
    await page.get_by_role("button", name="Try again").focus()
    before = len(tried)
    await page.keyboard.press("Enter")
    await until(lambda: len(tried) > before)
    await until_in(page, f"{LIST}.activeElement?.className === 'retry'")
    await page.unroute("**/notifications?*")
    await page.keyboard.press("Enter")
    await titles(page, "one")
    await until_in(page, f"{LIST}.activeElement?.localName === 'li'")


async def test_what_comes_leaves_the_focus_where_it_is(
    site: Site, page: Any, service: NotificationService
) -> None:
    """Enter on a button does what the button says, whatever has come in between."""
    first = await service.send(note("one", action_url="/x"))
    await show(page, site, PLAIN_LIST)
    await live(page)
    await titles(page, "one")
    at = f"{LIST}.activeElement?.ariaLabel"
    await page.get_by_role("button", name="Archive: one").focus()
    await service.send(note("two"))
    await titles(page, "two,one")
    assert await page.evaluate(at) == "Archive: one"
    await service.mark_as_read(first.id, "anna")  # in another tab: its row is made anew
    await until_in(page, f"{LIST}.querySelectorAll('li.unread').length === 1")
    assert await page.evaluate(at) == "Archive: one"


async def test_a_toast_that_has_the_focus_stays(
    site: Site, page: Any, service: NotificationService
) -> None:
    await show(page, site, "<notification-bell toast></notification-bell>")
    await live(page, "notification-bell")
    for name in ("one", "two"):
        await service.send(note(name))
    await until_in(page, f"{TOASTS} === 'one,two'")
    dismiss = page.get_by_role("button", name="Dismiss")
    await dismiss.first.focus()
    await dismiss.first.hover()
    await page.mouse.move(0, 0)
    await page.evaluate("sevenSeconds()")
    assert await page.evaluate(TOASTS) == "one"
    await dismiss.first.hover()
    await page.evaluate(f"{BELL}.activeElement.blur()")
    await page.evaluate("sevenSeconds()")
    assert await page.evaluate(TOASTS) == "one", "the pointer is on it"


async def test_dismissing_by_keyboard(site: Site, page: Any, service: NotificationService) -> None:
    await show(page, site, "<notification-bell toast></notification-bell>")
    await live(page, "notification-bell")
    sent = [await service.send(note(name)) for name in ("one", "two", "three")]
    await until_in(page, f"{TOASTS} === 'one,two,three'")
    await page.get_by_role("button", name="Dismiss").first.focus()
    await page.keyboard.press("Enter")
    at = f"{BELL}.activeElement?.closest('.toast')?.querySelector('.title').textContent"
    await until_in(page, f"{TOASTS} === 'two,three' && {at} === 'two'")
    await service.mark_as_read(sent[1].id, "anna")  # in another tab
    await until_in(page, f"{TOASTS} === 'three' && {at} === 'three'")
    await page.keyboard.press("Enter")
    await until_in(page, f"{TOASTS} === '' && {BELL}.activeElement?.className === 'bell'")


async def test_another_client_of_a_bell(
    site: Site, page: Any, service: NotificationService
) -> None:
    """Nothing of the former one's user stays: no toast, and no list that is open."""
    await service.send(note("bens", "ben"))
    await show(page, site, "<notification-bell toast></notification-bell>")
    await live(page, "notification-bell")
    await service.send(note("annas"))
    await until_in(page, f"{TOASTS} === 'annas'")
    other = """async () => {
      const { NotifyClient } = await import("/notify/client/latest/client.js");
      const client = new NotifyClient("/notify/", { token: "bens" });
      document.querySelector("notification-bell").client = client;
    }"""
    await page.evaluate(other)
    assert await page.evaluate(TOASTS) == ""
    await page.get_by_role("button", name="Notifications").click()
    await titles(page, "bens", INNER)
    await page.evaluate(other.replace("bens", "annas"))
    await titles(page, "annas", INNER)


async def test_twice_is_once(site: Site, page: Any, service: NotificationService) -> None:
    await service.send(note("one"))
    await show(page, site, PLAIN_LIST)
    await live(page)
    await titles(page, "one")
    await page.evaluate(
        """() => {
          window.troubles = [];
          addEventListener("trouble", ({ detail }) => troubles.push(detail.code));
        }"""
    )
    for name in ("Mark as read: one", "Archive: one"):
        await page.get_by_role("button", name=name).dblclick()
    await titles(page, "")
    await until_in(page, "document.querySelector('notification-list').client.unread === 0")
    await page.evaluate("fetch('/notify/notifications')")  # after both
    assert await page.evaluate("troubles") == []
