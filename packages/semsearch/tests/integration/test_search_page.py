"""The page in headless Chromium, with a real server."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from _common.browser import Visited, sound_page, until_in, visiting
from semsearch import SearchDocument, SearchService

pytest.importorskip("playwright.async_api")
pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
pytestmark = pytest.mark.slow

EVIL = '<script>window.hacked=1</script><img src="x" onerror="window.hacked=2">'
DOCUMENTS = [
    *(
        SearchDocument(
            f"sea-{n:02}",
            f"The tides of harbour {n} follow the moon. Boats wait for them.",
            {"kind": ["note", "report"][n % 2], "year": 2000 + n % 3},
        )
        for n in range(24)
    ),
    SearchDocument("שלום", "שלום עולם. hello", {"kind": "note"}),
    SearchDocument(
        "money",
        "The budget is red.",
        {"kind": "sheet", "title": "Budget of May", "_source": "files@1"},
    ),
    SearchDocument("evil", f"Tides {EVIL} tides.", {"kind": EVIL, "title": f"{EVIL} tides"}),
]


class Site(Visited):
    """A server of the page; ``allowed`` is what ``authorize`` says of everybody."""

    def __init__(self, service: SearchService) -> None:
        super().__init__()
        self._service, self.allowed = service, True

    def application(self) -> Any:
        from semsearch.asgi import create_app

        return create_app(
            self._service, authorize=lambda _: self.allowed, facets=["kind"], title="Harbours"
        )


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with SearchService.from_url("memory://") as service:
        await service.index_batch(DOCUMENTS)
        made = Site(service)
        await made.start()
        yield made
        await made.stop()


@pytest.fixture
async def page(site: Site) -> AsyncIterator[Any]:
    """A page of which no script fails and no rule of the policy is broken."""
    async with visiting() as browser, sound_page(browser) as made:
        await made.goto(site.url)
        # what is found before the page knows its settings is asked for again
        await until_in(made, "document.title === 'Harbours'")
        yield made
        assert await made.evaluate("window.hacked") is None


async def hits(page: Any, count: int) -> None:
    await until_in(page, f"document.querySelectorAll('.hit').length === {count}")


async def test_as_one_types(page: Any, site: Site) -> None:
    await page.locator("#query").press_sequentially("budget")
    await until_in(page, "document.querySelector('.hit mark')?.textContent === 'budget'")
    assert await page.locator(".hit h2 button").first.inner_text() == "Budget of May"
    tags = await page.locator(".hit .tags").first.inner_text()
    assert ("sheet" in tags, "files@1" in tags) == (
        True,
        False,
    )  # what begins with _ is for programs
    # what is shown can be shared, and the back button goes back
    assert page.url == f"{site.url}?q=budget"
    await page.goto(f"{site.url}?q=tides")
    await hits(page, 10)
    assert await page.locator("#query").input_value() == "tides"
    await page.go_back()
    await until_in(page, "document.querySelector('#query').value === 'budget'")


async def test_facets_narrow_and_more_is_shown(page: Any) -> None:
    await page.fill("#query", "tides boats")
    await hits(page, 10)
    await page.locator("#facets label", has_text="report").click()
    await until_in(page, "document.querySelector('#status').textContent.startsWith('1')")
    await until_in(
        page,
        "[...document.querySelectorAll('.hit .tags')].every(t => t.textContent.includes('report'))",
    )
    # the other values can still be chosen
    await page.locator("#facets label", has_text="note").click()
    await until_in(page, "document.querySelectorAll('.chip').length === 2")
    await page.locator("#more button").click()
    await hits(page, 20)
    await page.locator(".chip").first.click()
    await until_in(page, "document.querySelectorAll('.chip').length === 1")


async def test_by_keyboard_alone(page: Any) -> None:
    # all at once: a key that comes late would search anew
    await page.keyboard.insert_text("tides")
    await until_in(
        page, "document.querySelector('.hit mark')?.textContent.toLowerCase() === 'tides'"
    )
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowDown")
    second = await page.locator(".hit").nth(1).get_attribute("data-id")
    assert await page.evaluate("document.querySelector('[data-chosen]').dataset.id") == second
    await page.keyboard.press("Enter")
    await until_in(page, "document.querySelector('.whole pre')?.textContent.length > 5")
    await until_in(page, "document.querySelectorAll('.whole li button').length === 5")
    await page.keyboard.press("Enter")
    await until_in(page, "!document.querySelector('.whole')")
    await page.keyboard.press("/")
    await page.keyboard.type("budget")
    await until_in(page, "document.querySelector('.hit mark')?.textContent === 'budget'")
    await page.keyboard.press("Escape")
    await until_in(page, "document.querySelector('#query').value === ''")


async def test_texts_are_never_html(page: Any) -> None:
    await page.fill("#query", "hacked tides script")
    await until_in(page, "document.querySelector('.hit')?.dataset.id === 'evil'")
    await page.locator(".hit h2 button").first.click()
    await until_in(page, "document.querySelector('.whole pre')?.textContent.includes('<script>')")
    assert await page.locator("main script, main img").count() == 0
    await page.locator("#facets label", has_text="script").click()
    await until_in(page, "document.querySelector('.chip')?.textContent.includes('<script>')")


async def test_a_server_that_goes_and_comes_back(page: Any, site: Site) -> None:
    await page.fill("#query", "tides")
    await hits(page, 10)
    await site.stop()
    await page.fill("#query", "budget")
    await until_in(page, "document.querySelector('#status').dataset.state === 'bad'")
    assert "cannot be reached" in await page.locator("#status").inner_text()
    await site.start()
    await page.fill("#query", "budget red")
    await until_in(page, "document.querySelector('.hit mark')?.textContent === 'budget'")
    site.allowed = False
    await page.fill("#query", "tides")
    await until_in(page, "document.querySelector('#status').textContent.includes('signed out')")


async def test_a_server_that_is_slow_to_come(page: Any, site: Site) -> None:
    """What the page could not ask for when it was opened it asks for later."""
    await page.route("**/api/config", lambda route: route.abort())
    await page.goto(site.url)
    await until_in(page, "document.querySelector('#status').dataset.state === 'bad'")
    await page.unroute("**/api/config")
    await page.fill("#query", "tides")
    await hits(page, 10)
    await until_in(page, "document.title === 'Harbours'")
    await until_in(page, "document.querySelectorAll('#facets label').length >= 3")


async def test_neighbours_open_in_place(page: Any) -> None:
    await page.fill("#query", "budget")
    await until_in(page, "document.querySelector('.hit')?.dataset.id === 'money'")
    await page.locator(".hit h2 button").first.click()
    near = page.locator(".whole li button")
    await near.nth(4).wait_for()
    name = await near.first.inner_text()
    await near.first.click()
    opened = page.locator(f".hit[data-id='{name}']")
    await opened.locator(".whole pre").wait_for()
    await until_in(page, f"document.activeElement.textContent === '{name}'")
    assert await opened.count() == 1
    # the query is what it was, and what was opened is no further hit
    assert await page.locator("#query").input_value() == "budget"
    await page.locator("#more button").click()
    await until_in(
        page,
        "document.querySelectorAll('.hit:not([data-near])').length === 20",
    )


async def test_more_is_shown_once(page: Any) -> None:
    """Who presses twice, or while the server is away, gets the next page and not the one behind."""
    await page.fill("#query", "tides boats")
    await hits(page, 10)
    await page.route("**/api/search", lambda route: route.abort())
    await page.locator("#more button").click()
    await until_in(page, "document.querySelector('#status').dataset.state === 'bad'")
    assert await page.evaluate("document.querySelector('#hits').hasAttribute('data-old')")
    await page.unroute("**/api/search")
    await page.locator("#more button").dblclick()
    await until_in(page, "document.querySelectorAll('.hit').length >= 20")
    shown = await page.evaluate("[...document.querySelectorAll('.hit')].map(e => e.dataset.id)")
    found = await page.evaluate(
        """async () => {
            const body = JSON.stringify({ query: "tides boats", limit: 30 });
            const headers = { "content-type": "application/json" };
            const made = await fetch("api/search", { method: "POST", body, headers });
            return (await made.json()).hits.map((hit) => hit.id);
        }"""
    )
    assert shown == found[: len(shown)]


@pytest.mark.parametrize(
    ("link", "chips"),
    [
        ('{"kind": "report"}', 1),
        ('{"kind": ["report", "note"]}', 2),
        ('{"kind": {"$prefix": "rep"}}', 1),
        ('{"year": {"$gte": 2001}}', 1),
        ('{"$or": [{"kind": "note"}, {"year": 2000}]}', 2),
        ('{"$not": {"kind": "note"}}', 1),
        ("[1]", 0),
        ("5", 0),
        ('{"kind"', 0),
    ],
)
async def test_links_with_any_filter(page: Any, site: Site, link: str, chips: int) -> None:
    """What a filter of the API may be, an address may have; it can be widened and taken away."""
    await page.goto(f"{site.url}?q=tides&f={quote(link)}")
    await hits(page, 10)
    assert await page.locator(".chip").count() == chips
    async with page.expect_response("**/search"):
        await page.locator("#facets label", has_text="report").click()
    await until_in(page, "document.querySelector('#status').dataset.state !== 'bad'")
    while left := await page.locator(".chip").count():
        await page.locator(".chip").first.click()
        await until_in(page, f"document.querySelectorAll('.chip').length < {left}")
    await until_in(page, "!new URLSearchParams(location.search).has('f')")


async def test_a_filter_that_is_refused_can_be_taken_away(page: Any, site: Site) -> None:
    await page.goto(f"{site.url}?q=tides&f={quote(json.dumps({'year': {'$x': 1}}))}")
    await until_in(page, "document.querySelector('#status').textContent.includes('$x')")
    await page.locator(".chip").click()
    await hits(page, 10)


async def test_texts_from_right_to_left(page: Any) -> None:
    await page.fill("#query", "שלום")
    await until_in(page, "document.querySelector('.hit mark')?.textContent === 'שלום'")
    await page.locator(".hit h2 button").first.click()
    await until_in(page, "document.querySelector('.whole pre')?.textContent.length > 5")
    for place in ("#query", ".hit h2 button", ".passages p", ".whole pre"):
        direction = f"getComputedStyle(document.querySelector('{place}')).direction"
        assert await page.evaluate(direction) == "rtl", place


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_small_screens(page: Any, scheme: str) -> None:
    await page.emulate_media(color_scheme=scheme)
    await page.set_viewport_size({"width": 320, "height": 640})
    await page.fill("#query", "tides boats")
    await hits(page, 10)
    await page.locator(".hit h2 button").first.click()
    await until_in(page, "document.querySelector('.whole li button')")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_the_client_in_another_page(page: Any, site: Site) -> None:
    """The contract of ``client.d.ts``: names, shapes, errors."""
    found = await page.evaluate(
        """async (url) => {
            const made = await import(url + "client.js");
            const { createSearchClient, highlightParts, SearchError } = made;
            const search = createSearchClient({ url });
            const hits = await search.search({ query: "budget", facets: ["kind"], threshold: 1 });
            const bad = await search.search({ query: "x", limit: 0 }).catch((error) => error);
            return {
                first: hits[0].id, parts: highlightParts(hits[0].highlights[0]),
                facets: hits.facets, total: hits.total, names: Object.keys(hits[0]).sort(),
                near: (await search.findSimilar("sea-01", 3)).length,
                text: (await search.get("money")).content,
                documents: (await search.getStats()).documents,
                known: await search.recordClick(hits.queryId, "money"),
                bad: bad instanceof SearchError && bad.status,
            };
        }""",
        site.url,
    )
    assert found["first"] == "money"
    assert found["parts"] == [
        {"match": False, "text": "The "},
        {"match": True, "text": "budget"},
        {"match": False, "text": " is red."},
    ]
    assert found["names"] == ["content", "highlights", "id", "metadata", "score", "scores"]
    assert (found["near"], found["text"], found["known"], found["bad"]) == (
        3,
        "The budget is red.",
        True,
        422,
    )
    assert found["documents"] == len(DOCUMENTS)
    assert found["facets"]["kind"][0]["count"] >= 12
