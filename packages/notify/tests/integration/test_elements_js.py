"""The bell, the list and the ready page in headless Chromium: what people see, hear and can do."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

pytest.importorskip("playwright.async_api")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")
pytest.importorskip("starlette")

from _common.browser import sound_page, until, until_in, visiting
from browser_site import SEVEN_SECONDS, Site
from notify import Notification, NotificationService

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]  # one browser

EVIL = '<img src="x" onerror="window.hacked=1"><script>window.hacked=2</script>'
SHOW = """async (markup) => {
  await import("/notify/client/latest/elements.js");
  document.body.innerHTML = markup;
}"""
BELL = "document.querySelector('notification-bell').shadowRoot"
LIST = "document.querySelector('notification-list').shadowRoot"
INNER = f"{BELL}.querySelector('notification-list').shadowRoot"
TITLES = "[...{}.querySelectorAll('li .title')].map((each) => each.lastChild.textContent).join()"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Any]:
    async with visiting() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Any) -> AsyncIterator[Any]:
    """A page of which no script fails and no policy is broken; its toasts stay."""
    async with sound_page(browser, locale="en-GB") as made:
        await made.add_init_script(SEVEN_SECONDS)
        yield made
        assert await made.evaluate("window.hacked") is None


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


async def show(page: Any, site: Site, markup: str, query: str = "") -> None:
    await page.goto(site.url + query)
    await page.evaluate(SHOW, markup)


async def titles(page: Any, expected: str, root: str = LIST) -> None:
    await until_in(page, f"{TITLES.format(root)} === {expected!r}")


async def badge(page: Any, expected: str) -> None:
    found = f"{BELL}.querySelector('.badge')"
    await until_in(page, f"({found}.hidden ? '' : {found}.textContent) === {expected!r}")


async def test_two_tabs(site: Site, page: Any, service: NotificationService) -> None:
    """Read in one, seen in the other; and the counts are the server's."""
    for n in range(3):
        await service.send(note(f"n{n}"))
    markup = "<notification-bell></notification-bell><notification-list></notification-list>"
    other = await page.context.new_page()
    for tab in (page, other):
        await show(tab, site, markup)
        await badge(tab, "3")
        await titles(tab, "n2,n1,n0")
    await page.get_by_role("button", name="Mark as read: n1").click()
    unread = f"[...{LIST}.querySelectorAll('li.unread')].length"
    for tab in (page, other):
        await badge(tab, "2")
        await until_in(tab, f"{unread} === 2")
    await other.get_by_role("button", name="Archive: n2").click()
    for tab in (page, other):
        await badge(tab, "1")
        await titles(tab, "n1,n0")
    await page.get_by_role("button", name="Mark all read").click()
    for tab in (page, other):
        await badge(tab, "")
        await until_in(tab, f"{unread} === 0")
    assert await service.unread_count("anna") == 0
    assert site.connections == 1


async def test_filters_and_pages(site: Site, page: Any, service: NotificationService) -> None:
    sent = [await service.send(note(f"n{n}")) for n in range(7)]
    await service.mark_as_read(sent[6].id, "anna")
    await service.archive(sent[5].id, "anna")
    await show(page, site, '<notification-list limit="3"></notification-list>')
    await titles(page, "n6,n4,n3")
    await page.get_by_role("button", name="Show more").click()
    await titles(page, "n6,n4,n3,n2,n1,n0")
    await page.get_by_role("button", name="Unread").click()
    await titles(page, "n4,n3,n2")
    await page.get_by_role("button", name="Mark as read: n4").click()
    await titles(page, "n3,n2")
    await page.get_by_role("button", name="Archived").click()
    await titles(page, "n5")
    pressed = f"{LIST}.querySelector('[aria-pressed=true]').textContent"
    assert await page.evaluate(pressed) == "Archived"
    await page.get_by_role("button", name="All", exact=True).click()
    await titles(page, "n6,n4,n3")
    await service.send(note("new"))
    await titles(page, "new,n6,n4,n3")
    said = f"{LIST}.querySelector('[aria-live]').textContent"
    await until_in(page, f"{said} === 'New notification: new'")


async def test_the_keyboard_alone(site: Site, page: Any, service: NotificationService) -> None:
    for n in range(4):
        await service.send(note(f"n{n}", action_url=f"/files/{n}" if n == 0 else None))
    await show(page, site, "<notification-bell></notification-bell>")
    await badge(page, "4")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    at = f"{INNER}.activeElement?.dataset.id"
    rows = f"[...{INNER}.querySelectorAll('li')].map((each) => each.dataset.id)"
    await until_in(page, f"{rows}.length === 4 && {at} === {rows}[0]")
    assert await page.evaluate(f"{BELL}.querySelector('.bell').ariaExpanded") == "true"
    await page.keyboard.press("ArrowDown")
    await until_in(page, f"{at} === {rows}[1]")
    await page.keyboard.press("r")
    await badge(page, "3")
    await until_in(page, f"{at} === {rows}[1]")
    await page.keyboard.press("e")
    await titles(page, "n3,n1,n0", INNER)
    await until_in(page, f"{at} === {rows}[1]")  # the one that was below
    await page.keyboard.press("End")
    await until_in(page, f"{at} === {rows}[2]")
    await page.keyboard.press("Home")
    await until_in(page, f"{at} === {rows}[0]")
    await page.keyboard.press("Enter")  # no link: marks it read
    await badge(page, "2")
    await page.keyboard.press("Escape")
    await until_in(page, f"{BELL}.activeElement.classList.contains('bell')")
    assert await page.evaluate(f"{BELL}.querySelector('.panel').hidden")
    await page.keyboard.press("Enter")
    await until_in(page, f"{rows}.length === 3 && {at} === {rows}[0]")
    await page.evaluate(
        """() => document.addEventListener("open", (event) => {
          window.opened = event.detail.notification.title;
          event.preventDefault();
        })"""
    )
    await page.keyboard.press("End")
    await page.keyboard.press("Enter")  # its link, which the page's router takes
    await until_in(page, "window.opened === 'n0'")
    await badge(page, "1")
    assert page.url == site.url


async def test_a_link_is_followed_and_marks(
    site: Site, page: Any, service: NotificationService
) -> None:
    sent = await service.send(note("go", action_url="/?as=annas&at=1", action_label="Look"))
    await show(page, site, "<notification-list></notification-list>")
    await titles(page, "go")
    await page.get_by_role("link", name="Look").click()
    await page.wait_for_url("**/?as=annas&at=1")

    async def is_read() -> bool:
        return (await service.get(sent.id, "anna")).read

    await until(is_read)


async def test_hostile_texts(site: Site, page: Any, service: NotificationService) -> None:
    await show(
        page, site,
        "<notification-bell toast></notification-bell><notification-list></notification-list>",
    )  # fmt: skip
    await until_in(page, f"{LIST}.querySelector('.empty').textContent === 'Nothing here yet'")
    await service.send(
        note(EVIL, message=EVIL, category=EVIL[:60], action_url="/x", action_label=EVIL)
    )
    await titles(page, EVIL)
    await until_in(page, f"{BELL}.querySelector('.toast .title').textContent === {EVIL!r}")
    # what the server would refuse, from a server that does not
    await page.evaluate(
        """() => {
          const list = document.querySelector("notification-list");
          const plain = list.client.list;
          list.client.list = async function (query) {
            const page = await plain.call(this, query);
            for (const each of page.items) each.actionUrl = "javascript:window.hacked=3";
            return page;
          };
          list.restart();
        }"""
    )
    row = f"{LIST}.querySelector('li')"
    await until_in(page, f"{row} !== null && {row}.querySelector('a') === null")
    for root in (BELL, LIST):
        assert await page.evaluate(f"{root}.querySelectorAll('img, script').length") == 0


async def test_toasts(site: Site, page: Any, service: NotificationService) -> None:
    await show(page, site, "<notification-bell toast></notification-bell>")
    await until_in(page, "document.querySelector('notification-bell').client.connection === 'live'")
    sent = [await service.send(note(f"n{n}")) for n in range(5)]
    toasts = f"[...{BELL}.querySelectorAll('.toast .title')].map((each) => each.textContent).join()"
    await until_in(page, f"{toasts} === 'n2,n3,n4'")
    # a pointer on them keeps them
    await page.evaluate(
        f"""() => {BELL}.querySelectorAll('.toast').forEach((each) => {{
          each.dispatchEvent(new PointerEvent("pointerenter"));
        }})"""
    )
    await service.mark_as_read(sent[3].id, "anna")
    await until_in(page, f"{toasts} === 'n2,n4'")
    await page.get_by_role("button", name="Dismiss").first.click()
    await until_in(page, f"{toasts} === 'n4'")
    await service.mark_all_as_read("anna")
    await until_in(page, f"{toasts} === ''")


async def test_nobody_is_signed_in(site: Site, page: Any) -> None:
    await show(page, site, "<notification-list></notification-list>", "?as=x")
    empty = f"{LIST}.querySelector('.empty').textContent"
    await until_in(page, f"{empty}.startsWith('Sign in to see your notifications')")


async def test_a_server_that_goes_and_comes(
    site: Site, page: Any, service: NotificationService
) -> None:
    await service.send(note("before"))
    markup = "<notification-bell></notification-bell><notification-list></notification-list>"
    await show(page, site, markup)
    await titles(page, "before")
    await badge(page, "1")
    await site.stop()
    shown = f"{LIST}.querySelector('.note').textContent"
    await until_in(page, f"{shown} === 'Reconnecting …'")
    await titles(page, "before")  # what was known stays
    await service.send(note("meanwhile"))
    await site.start()
    await titles(page, "meanwhile,before")
    await badge(page, "2")
    await until_in(page, f"{shown} === ''")


async def test_removing(site: Site, page: Any) -> None:
    await show(page, site, "<notification-bell></notification-bell>")
    await until(lambda: site.connections == 1)
    await page.evaluate("document.body.replaceChildren()")
    await until(lambda: site.connections == 0)


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_ready_page(
    site: Site, page: Any, service: NotificationService, width: int, scheme: str
) -> None:
    await service.send(note("w" * 200, message="x" * 2000, category="c" * 60, type="error"))
    await service.send(note("short", action_url="/x", action_label="l" * 80))
    await page.set_viewport_size({"width": width, "height": 700})
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    await page.goto(site.url)
    await page.goto(f"{site.url}notify/client/latest/demo.html")
    await until_in(page, "document.getElementById('connection').textContent === 'live'")
    await until_in(page, f"{LIST}.querySelectorAll('li').length === 2")
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    assert await page.evaluate(CONTRAST, "main notification-list") >= 4.5
    await page.evaluate("document.querySelector('notification-bell').show()")
    await until_in(page, f"{INNER}.querySelectorAll('li').length === 2")
    panel = f"{BELL}.querySelector('.panel').getBoundingClientRect()"
    left, right = await page.evaluate(f"[{panel}.left, {panel}.right]")
    assert 0 <= left < right <= width
    await page.evaluate("document.querySelector('notification-bell').hide()")
    await service.send(note("toast"))
    toast = f"{BELL}.querySelector('.toast')"
    await until_in(page, f"{toast} !== null")
    assert await page.evaluate(f"getComputedStyle({toast}).animationName") == "none"
    assert await page.evaluate("document.documentElement.scrollWidth") <= width


CONTRAST = """(selector) => {
  const root = document.querySelector(selector).shadowRoot;
  const light = (text) => {
    const parts = text.match(/[\\d.]+/g).slice(0, 3).map((each) => each / 255);
    const [r, g, b] = parts.map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let each = node; each; each = each.parentElement) {
      const found = getComputedStyle(each).backgroundColor;
      if (!found.endsWith(" 0)") && found !== "transparent") return light(found);
    }
    return light(getComputedStyle(document.body).backgroundColor);
  };
  const names = ["h2", ".count", ".all", ".filters button", ".title", ".body", ".meta",
    ".category", ".action"];
  const ratios = names.flatMap((name) => [...root.querySelectorAll(name)]).map((node) => {
    const [front, back] = [light(getComputedStyle(node).color), behind(node)];
    return (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
  });
  return Math.min(...ratios);
}"""


async def test_web_push(site: Site, page: Any) -> None:
    """The worker installs in a folder of its own; what it shows and opens is checked in it."""
    await page.goto(site.url)
    found = await page.evaluate(
        """async () => {
          const source = await (await fetch("/notify/client/latest/push-worker.js")).text();
          const listeners = {};
          const shown = [];
          const opened = [];
          const self = {
            location: { origin: "https://shop.example" },
            addEventListener: (name, listener) => { listeners[name] = listener; },
            skipWaiting() {},
            registration: { showNotification: async (...given) => shown.push(given) },
            clients: { matchAll: async () => [], openWindow: async (url) => opened.push(url) },
          };
          new Function("self", source)(self);
          const fire = async (name, event) => {
            let work;
            listeners[name]({ ...event, waitUntil: (each) => { work = each; } });
            await work;
          };
          const texts = ['{"id":"7","title":"<b>T</b>","message":"m","actionUrl":"/x"}',
            "{", "null", '{"title":5}'];
          for (const text of texts) await fire("push", { data: { json: () => JSON.parse(text) } });
          await fire("push", { data: null });
          const addresses = ["/a", "https://other.example/", "javascript:alert(1)",
            "data:text/html,x", undefined];
          for (const actionUrl of addresses) {
            await fire("notificationclick", { notification: { close() {}, data: { actionUrl } } });
          }
          const scope = new URL("/notify/client/latest/", location.href);
          const worker = new URL("push-worker.js", scope);
          const made = await navigator.serviceWorker.register(worker, { scope });
          return { shown, opened, real: made.scope };
        }"""
    )
    assert found["shown"][0] == [
        "<b>T</b>", {"body": "m", "tag": "7", "data": {"actionUrl": "/x"}},
    ]  # fmt: skip
    assert [title for title, _ in found["shown"][1:]] == ["Notification"] * 4
    home = "https://shop.example/"
    assert found["opened"] == [f"{home}a", "https://other.example/", home, home, home]
    assert found["real"] == f"{site.url}notify/client/latest/"
