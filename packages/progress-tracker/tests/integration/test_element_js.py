"""The element and the ready page in headless Chromium: what people see, hear and can do."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("playwright.async_api")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")
pytest.importorskip("starlette")

from _common.browser import sound_page, until, until_in, visiting
from browser_site import Site
from progress_tracker import ProgressTracker

pytestmark = pytest.mark.slow

EVIL = '<img src="x" onerror="window.hacked=1"><script>window.hacked=2</script>'
SHOW = """async (markup) => {
  await import("/progress/client/latest/element.js");
  document.body.innerHTML = markup;
}"""
ROOT = "document.querySelector('progress-tracker').shadowRoot"


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    async with visiting() as made:
        yield made


@pytest.fixture
async def page(browser: Any) -> AsyncIterator[Any]:
    """A page of which no script fails and no policy is broken."""
    async with sound_page(browser) as made:
        yield made
        assert await made.evaluate("window.hacked") is None


@pytest.fixture
async def tracker() -> AsyncIterator[ProgressTracker]:
    async with ProgressTracker.from_url("memory://") as made:
        yield made


@pytest.fixture
async def site(tracker: ProgressTracker) -> AsyncIterator[Site]:
    made = Site(tracker)
    await made.start()
    yield made
    await made.stop()


async def show(page: Any, site: Site, attributes: str, query: str = "") -> None:
    await page.goto(site.url + query)
    await page.evaluate(SHOW, f"<progress-tracker {attributes}></progress-tracker>")


async def text(page: Any, selector: str) -> str:
    return str(await page.evaluate(f"{ROOT}.querySelector('{selector}').textContent"))


async def shows(page: Any, selector: str, expected: str) -> None:
    found = f"{ROOT}.querySelector('{selector}').textContent === {expected!r}"
    await until_in(page, found)


async def aria(page: Any, name: str) -> Any:
    return await page.evaluate(f"{ROOT}.querySelector('.bar').getAttribute('aria-{name}')")


async def test_from_the_beginning_to_the_end(
    site: Site, page: Any, tracker: ProgressTracker
) -> None:
    await tracker.create(id="a", user_id="anna", stages=["read", "write"], metadata={"title": EVIL})
    await show(page, site, 'operation="a"')
    await shows(page, ".label", EVIL)
    await shows(page, ".percent", "0 %")
    bar = f"{ROOT}.querySelector('.bar')"
    assert await page.evaluate(f"{bar}.getAttribute('role')") == "progressbar"
    await tracker.update("a", 50.9, "read", message="<b>line 3</b>")
    await shows(page, ".percent", "25 %")
    await shows(page, ".now", "<b>line 3</b>")
    assert await aria(page, "valuenow") == "25"
    assert await aria(page, "valuetext") == "25 %, Running, read"
    assert await aria(page, "label") == EVIL
    assert await text(page, ".live") == f"{EVIL}, Running, read"
    rows = f"[...{ROOT}.querySelectorAll('.stage')].map((each) => each.dataset.status)"
    assert await page.evaluate(rows) == ["processing", "pending"]
    current = f"{ROOT}.querySelector('[aria-current=step] .name').textContent"
    assert await page.evaluate(current) == "read"
    await page.evaluate(
        """() => {
          window.heard = [];
          for (const name of ["progress", "end"]) {
            document.addEventListener(name, ({ detail }) => heard.push([name, detail.status]));
          }
        }"""
    )
    await tracker.fail("a", ValueError(EVIL))
    await shows(page, ".error", EVIL)
    assert await page.evaluate(f"{ROOT}.querySelector('.card').dataset.status") == "failed"
    assert await page.evaluate("heard") == [["progress", "failed"], ["end", "failed"]]


async def test_no_total_no_percent(site: Site, page: Any, tracker: ProgressTracker) -> None:
    await tracker.create(id="a", user_id="anna")
    await tracker.update("a", 0, message="looking")
    await page.emulate_media(reduced_motion="reduce")
    await show(page, site, 'operation="a" label="Search"')
    await until_in(page, f"{ROOT}.querySelector('.bar').classList.contains('unknown')")
    assert await aria(page, "valuenow") is None
    assert await aria(page, "label") == "Search"
    animation = f"getComputedStyle({ROOT}.querySelector('.fill')).animationName"
    assert await page.evaluate(animation) == "none"
    await page.emulate_media(reduced_motion="no-preference")
    assert await page.evaluate(animation) == "wander"


async def test_cancelling(site: Site, page: Any, tracker: ProgressTracker) -> None:
    await tracker.create(id="a", user_id="anna")
    await tracker.update("a", 10)
    await show(page, site, 'operation="a" cancellable')
    await shows(page, ".percent", "10 %")
    await page.get_by_role("button", name="Cancel").focus()
    await page.keyboard.press("Enter")
    await shows(page, ".cancel", "Cancelling …")
    assert await page.evaluate(f"{ROOT}.querySelector('.cancel').disabled")
    assert await page.evaluate(f"{ROOT}.activeElement.className") == "card"

    async def is_asked() -> bool:
        return (await tracker.get("a")).cancel_requested

    await until(is_asked)
    await tracker.cancel("a")
    await shows(page, ".now", "Cancelled")
    assert await page.evaluate(f"{ROOT}.querySelector('.cancel').hidden")
    assert await page.evaluate(f"{ROOT}.activeElement.className") == "card"


async def test_parts(site: Site, page: Any, tracker: ProgressTracker) -> None:
    await tracker.create(id="all", user_id="anna", total=15)
    await show(page, site, 'operation="all" parts')
    for n in range(15):
        await tracker.create(id=f"p{n}", parent_id="all", metadata={"title": f"part {n}"})
    await tracker.update("p3", 40)
    await tracker.fail("p4", "broken")
    count = f"{ROOT}.querySelectorAll('progress-tracker').length"
    await until_in(page, f"{count} === 12")
    await until_in(page, f"{ROOT}.querySelector('.more')?.textContent === 'and 3 more'")
    inner = (
        f"[...{ROOT}.querySelectorAll('progress-tracker')]"
        ".map((each) => each.shadowRoot.querySelector('.label').textContent)"
    )
    await until_in(page, f"{inner}.slice(0, 2).join() === 'part 3,part 4'")
    assert site.connections == 1, "all of them share the page's socket"
    await tracker.complete("p3")
    await until_in(
        page, f"{ROOT}.querySelector('.figures').textContent.startsWith('1 of 15 parts · 1 failed')"
    )


@pytest.mark.parametrize(
    ("query", "note"), [("", "There is no such operation"), ("?as=x", "Sign in to see this")]
)
async def test_trouble(
    site: Site, page: Any, tracker: ProgressTracker, query: str, note: str
) -> None:
    await tracker.create(id="bens", user_id="ben")
    await show(page, site, 'operation="bens" cancellable', query)
    await shows(page, ".note", note)
    assert await text(page, ".percent") == ""
    assert await page.evaluate(f"{ROOT}.querySelector('.cancel').hidden")


async def test_a_server_that_goes_and_comes(
    site: Site, page: Any, tracker: ProgressTracker
) -> None:
    await tracker.create(id="a", user_id="anna")
    await tracker.update("a", 10)
    await show(page, site, 'operation="a"')
    await shows(page, ".percent", "10 %")
    await site.stop()
    await shows(page, ".note", "Reconnecting …")
    assert await text(page, ".percent") == "10 %", "what was known stays"
    await tracker.update("a", 30)
    await site.start()
    await shows(page, ".percent", "30 %")
    await shows(page, ".note", "")


async def test_moving_and_removing(site: Site, page: Any, tracker: ProgressTracker) -> None:
    for id in ("a", "b"):
        await tracker.create(id=id, user_id="anna", metadata={"title": f"title of {id}"})
    await show(page, site, 'operation="a"')
    await shows(page, ".label", "title of a")
    await page.evaluate("document.querySelector('progress-tracker').setAttribute('operation', 'b')")
    await shows(page, ".label", "title of b")
    await until(lambda: tracker.get_stats().watchers == 1)
    await page.evaluate("document.querySelector('progress-tracker').remove()")
    await until(lambda: tracker.get_stats().watchers == 0)


@pytest.mark.parametrize("width", [320, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_ready_page(
    site: Site, page: Any, tracker: ProgressTracker, width: int, scheme: str
) -> None:
    await tracker.create(
        id="a", user_id="anna", stages=["a stage with quite a long name", "two"],
        metadata={"title": "word" * 40},
    )  # fmt: skip
    await tracker.update("a", 30, message="x" * 300)
    await tracker.create(id="bens", user_id="ben")
    await tracker.create(id="f", user_id="anna")
    await tracker.fail("f", "e" * 300)
    await page.set_viewport_size({"width": width, "height": 800})
    await page.emulate_media(color_scheme=scheme)
    await page.goto(site.url)
    await page.goto(f"{site.url}progress/client/latest/demo.html")
    await until_in(page, "document.querySelectorAll('main > *').length === 2")
    shown = "[...document.querySelectorAll('main > *')].every((each) => each.progress)"
    await until_in(page, shown)
    await until_in(page, "document.getElementById('connection').textContent === 'live'")
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    card = f"getComputedStyle({ROOT}.querySelector('.card'))"
    surface = await page.evaluate(f"{card}.backgroundColor")
    assert surface == {"light": "rgb(255, 255, 255)", "dark": "rgb(23, 28, 36)"}[scheme]
    assert await page.evaluate(CONTRAST) >= 4.5


CONTRAST = """() => {
  const root = document.querySelector("progress-tracker").shadowRoot;
  const light = (text) => {
    const parts = text.match(/[\\d.]+/g).slice(0, 3).map((each) => each / 255);
    const [r, g, b] = parts.map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const back = light(getComputedStyle(root.querySelector(".card")).backgroundColor);
  const ratios = [".label", ".percent", ".now", ".figures", ".note", ".error"].map((name) => {
    const front = light(getComputedStyle(root.querySelector(name)).color);
    return (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
  });
  return Math.min(...ratios);
}"""
