"""Answers that come late to the search page: they hide nothing newer, and take no focus."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from _common.browser import Visited, sound_page, until_in, visiting
from _common.held import holding
from semsearch import SearchDocument, SearchService

pytest.importorskip("playwright.async_api")
pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
pytestmark = pytest.mark.slow

DOCUMENTS = [
    *(
        SearchDocument(
            f"sea-{n:02}",
            f"The tides of harbour {n} follow the moon.",
            {"kind": ["note", "report"][n % 2], "year": 2000 + n % 3},
        )
        for n in range(24)
    ),
    SearchDocument("money", "The budget is red.", {"kind": "sheet"}),
]
STATE = "document.querySelector('#status').dataset.state"
SAID = "document.querySelector('#status').textContent"
SOON = "new Promise((go) => setTimeout(go, 100))"
FIRST = "document.querySelector('.hit')?.dataset.id"


class Site(Visited):
    """The server; the bodies of answers to searches for ``torn`` stop half way until ``free``."""

    def __init__(self, service: SearchService) -> None:
        super().__init__()
        self._service = service
        self.options["interface"] = "asgi3"
        self.torn, self.begun, self.free = b"", asyncio.Event(), asyncio.Event()

    def application(self) -> Any:
        from semsearch.asgi import create_app

        self.app = create_app(
            self._service, authorize=lambda _: True, facets=["kind", "year"], title="Harbours"
        )
        return self._tearing

    async def _tearing(self, scope: Any, receive: Any, send: Any) -> None:
        asked = b""

        async def listen() -> Any:
            nonlocal asked
            message = await receive()
            asked += message.get("body", b"")
            return message

        async def tell(message: Any) -> None:
            body = message.get("body", b"")
            if body and self.torn and self.torn in asked:
                await send({**message, "body": body[:9], "more_body": True})
                self.begun.set()
                await self.free.wait()
                message = {**message, "body": body[9:]}
            await send(message)

        await self.app(scope, listen, tell)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with SearchService.from_url("memory://") as service:
        await service.index_batch(DOCUMENTS)
        made = Site(service)
        await made.start()
        yield made
        made.free.set()
        await made.stop()


@pytest.fixture
async def page() -> AsyncIterator[Any]:
    """A page of which no script fails."""
    async with visiting() as browser, sound_page(browser) as made:
        yield made


async def opened(page: Any, site: Site, query: str = "") -> None:
    await page.goto(site.url + query)
    await until_in(page, "document.title === 'Harbours'")


async def hits(page: Any, count: int) -> None:
    await until_in(page, f"document.querySelectorAll('.hit').length === {count}")


async def test_a_search_that_is_given_up_half_way_says_nothing(site: Site, page: Any) -> None:
    await opened(page, site)
    site.torn = b"tides"
    async with page.expect_response("**/api/search"):
        await page.fill("#query", "tides")
    await site.begun.wait()
    await page.evaluate(SOON)
    await page.fill("#query", "")
    await page.press("#query", "Enter")
    await page.evaluate(SOON)
    assert await page.evaluate(f"[{SAID}, {STATE}]") == ["", None]


async def test_an_answer_that_breaks_off_is_an_error(site: Site, page: Any) -> None:
    await opened(page, site)
    wrong = await page.evaluate(
        """async () => {
          const { createSearchClient, SearchError } = await import("./client.js");
          const { fetch } = window;
          window.fetch = async () => new Response('{"hits": [', { status: 200 });
          const found = await createSearchClient().search("tides").catch((error) => error);
          const control = new AbortController();
          const body = new ReadableStream({ pull: (it) => it.error(control.signal.reason) });
          window.fetch = async () => (control.abort("enough"), new Response(body, { status: 200 }));
          const { signal } = control;
          const given = await createSearchClient().search("tides", { signal }).catch((why) => why);
          window.fetch = fetch;
          return [found instanceof SearchError, found.status, given];
        }"""
    )
    assert wrong == [True, 0, "enough"]


@pytest.mark.parametrize("whose", ["the page", "an older search"])
async def test_settings_that_fail_late_hide_no_results(site: Site, page: Any, whose: str) -> None:
    if whose == "an older search":
        await page.route("**/api/config", lambda route: route.abort())
        await page.goto(site.url)
        await until_in(page, f"{STATE} === 'bad'")
        await page.unroute("**/api/config")
    async with holding(page, "**/api/config") as older:
        if whose == "the page":
            await page.goto(site.url)
        else:
            await page.fill("#query", "budget")
        await older.asked()
        await page.fill("#query", "tides")
        await hits(page, 10)
        said = await page.evaluate(SAID)
        for _ in range(4):
            await page.evaluate(SOON)  # the older one has waited long enough to say so
        await older.come(lost=True)
    assert await page.evaluate(f"[{SAID}, {STATE}]") == [said, None]


async def test_what_was_typed_before_the_script_came(site: Site, page: Any) -> None:
    async with holding(page, "**/static/page.js") as script:
        await page.goto(site.url, wait_until="commit")
        await script.asked()
        await page.locator("#query").press_sequentially("budget")
        await script.come()
    await until_in(page, f"{FIRST} === 'money'")
    assert await page.input_value("#query") == "budget"
    assert page.url == f"{site.url}?q=budget"


async def test_the_focus_stays_with_what_is_chosen(site: Site, page: Any) -> None:
    await opened(page, site, "?q=tides")
    await hits(page, 10)
    at = "document.activeElement?.closest('label')?.querySelector('span').textContent"
    for name, count in (("report", 1), ("note", 2)):
        await page.locator("#facets label", has_text=name).locator("input").focus()
        await page.keyboard.press("Space")
        await until_in(page, f"document.querySelectorAll('.chip').length === {count}")
        await until_in(page, f"{at} === {name!r}")
    await page.locator(".chip").first.focus()
    await page.keyboard.press("Enter")
    await until_in(
        page, "document.activeElement?.matches('.chip[aria-label=\"remove kind note\"]')"
    )
    await page.keyboard.press("Enter")
    await until_in(page, "document.activeElement?.id === 'query'")


async def test_the_focus_stays_with_a_hit(site: Site, page: Any) -> None:
    """Who goes to the results while newer ones are on their way."""
    await opened(page, site, "?q=tides")
    await hits(page, 10)
    at = "document.activeElement?.closest('.hit')?.dataset.id"
    async with holding(page, "**/api/search") as newer:
        # all at once: a key that comes late would search anew, and give up the one that is held
        await page.locator("#query").focus()
        await page.keyboard.press("End")
        await page.keyboard.insert_text(" moon")
        await newer.asked()
        await page.keyboard.press("ArrowDown")
        first = await page.evaluate(at)
        await newer.come()
    assert first is not None
    assert await page.evaluate(at) == first
    assert await page.evaluate("document.querySelector('[data-chosen]')?.dataset.id") == first
    async with holding(page, "**/api/search") as newer:
        await page.locator("#facets label", has_text="sheet").click()
        await newer.asked()
        await page.keyboard.press("ArrowDown")
        assert await page.evaluate(at) is not None
        await newer.come()
    await until_in(page, f"{FIRST} === 'money'")
    await until_in(page, "document.activeElement?.id === 'query'")


async def test_more_by_keyboard(site: Site, page: Any) -> None:
    await opened(page, site, "?q=tides&f=" + quote('{"kind": "note"}'))
    await hits(page, 10)
    await page.locator("#more button").focus()
    await page.keyboard.press("Enter")
    await hits(page, 12)
    assert await page.locator("#more").is_hidden()
    at = "[...document.querySelectorAll('.hit')].indexOf(document.activeElement?.closest('.hit'))"
    assert await page.evaluate(at) == 10


async def test_more_while_others_are_asked_for(site: Site, page: Any) -> None:
    """What is on its way is not given up for its own second page."""
    await opened(page, site, "?q=tides")
    await hits(page, 10)
    async with holding(page, "**/api/search") as narrower:
        await page.locator("#facets label", has_text="report").click()
        await narrower.asked()
        await page.locator("#more button").click()
    kinds = "[...document.querySelectorAll('.hit .tags')].map((each) => each.textContent)"
    await until_in(page, f"{kinds}.every((each) => each.includes('report'))")
    await hits(page, 10)


async def test_a_filter_is_taken_back_before_its_answer(site: Site, page: Any) -> None:
    await opened(page, site, "?q=tides")
    await hits(page, 10)
    async with holding(page, "**/api/search") as narrower:
        await page.locator("#facets label", has_text="sheet").click()
        await narrower.asked()
        await page.locator(".chip").click(timeout=5_000)
        assert await page.locator(".chip").count() == 0
        assert await page.locator("#facets :checked").count() == 0
    await hits(page, 10)


async def test_more_of_what_is_not_shown_yet(site: Site, page: Any) -> None:
    """The next page of new words is none of the old ones'."""
    await opened(page, site, "?q=tides")
    await hits(page, 10)
    asked: list[int] = []
    page.on(
        "request",
        lambda each: (
            asked.append(each.post_data_json["offset"])
            if each.url.endswith("api/search") and each.post_data_json["limit"] == 10
            else None
        ),
    )
    await page.evaluate(
        """() => {
          const input = document.querySelector("#query");
          input.value = "tides moon";
          input.dispatchEvent(new Event("input"));
          document.querySelector("#more button").click();
        }"""
    )
    await until_in(page, f"location.search === '?q=tides+moon' && {SAID}.includes('results in')")
    await hits(page, 10)
    assert asked
    assert set(asked) == {0}
