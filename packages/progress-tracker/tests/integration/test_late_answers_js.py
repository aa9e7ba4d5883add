"""Answers that come late: they take back nothing newer and speak for no other operation."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("playwright.async_api")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")
pytest.importorskip("starlette")

from _common.browser import sound_page, until_in, visiting
from _common.held import holding
from browser_site import Site
from progress_tracker import ProgressTracker

pytestmark = pytest.mark.slow

SHOW = """async (markup) => {
  await import("/progress/client/latest/element.js");
  document.body.innerHTML = markup;
}"""
ELEMENT = "document.querySelector('progress-tracker')"
ROOT = f"{ELEMENT}.shadowRoot"
PARTS = (
    f"[...{ROOT}.querySelectorAll('.parts:not([hidden]) progress-tracker')]"
    ".map((each) => each.getAttribute('operation')).sort().join()"
)
BETWEEN = """(() => {
  const [begin, end, held] = [setTimeout, clearTimeout, new Map()];
  let last = 0;
  window.setTimeout = (call, after, ...rest) => {
    if (after !== 5000) return begin(call, after, ...rest);
    held.set(--last, call);
    return last;
  };
  window.clearTimeout = (timer) => held.delete(timer) || end(timer);
  window.fiveSeconds = () => {
    for (const [timer, call] of [...held]) if (held.delete(timer)) call();
  };
  const Plain = WebSocket;
  window.heard = [];
  window.WebSocket = class extends Plain {
    set onmessage(listener) {
      window.say = (text) => listener({ data: text });
      super.onmessage = (event) => {
        heard.push(event.data);
        listener(event);
      };
    }
  };
})()"""
"""Timers of five seconds run when a test says so, and it may repeat what the socket said."""


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    async with visiting() as made:
        yield made


@pytest.fixture
async def page(browser: Any) -> AsyncIterator[Any]:
    """A page of which no script fails."""
    async with sound_page(browser) as made:
        yield made


@pytest.fixture
async def tracker() -> AsyncIterator[ProgressTracker]:
    async with ProgressTracker.from_url("memory://") as made:
        for id in "ab":
            await made.create(id=id, user_id="anna", metadata={"title": f"title of {id}"})
            await made.update(id, {"a": 10, "b": 20}[id])
        yield made


@pytest.fixture
async def site(tracker: ProgressTracker) -> AsyncIterator[Site]:
    made = Site(tracker)
    await made.start()
    yield made
    await made.stop()


async def show(page: Any, site: Site, attributes: str) -> None:
    await page.goto(site.url)
    await page.evaluate(SHOW, f"<progress-tracker {attributes}></progress-tracker>")


async def text(page: Any, selector: str) -> str:
    return str(await page.evaluate(f"{ROOT}.querySelector('{selector}').textContent"))


async def shows(page: Any, selector: str, expected: str) -> None:
    found = f"{ROOT}.querySelector('{selector}').textContent"
    await until_in(page, f"{found} === {expected!r}", found)


async def of(page: Any, id: str) -> None:
    await page.evaluate(f"(id) => {ELEMENT}.setAttribute('operation', id)", id)


async def test_a_cancellation_that_fails_late_is_not_the_next_ones(site: Site, page: Any) -> None:
    await show(page, site, 'operation="a" cancellable')
    await shows(page, ".percent", "10 %")
    async with holding(page, "**/a/cancel") as older:
        await page.get_by_role("button", name="Cancel").click()
        await older.asked()
        await of(page, "b")
        await shows(page, ".percent", "20 %")
        await older.come(lost=True)
    assert await text(page, ".note") == ""
    assert await text(page, ".cancel") == "Cancel"


async def test_a_cancellation_that_fails_late_hides_no_end(
    site: Site, page: Any, tracker: ProgressTracker
) -> None:
    await show(page, site, 'operation="a" cancellable')
    await shows(page, ".percent", "10 %")
    async with holding(page, "**/a/cancel") as older:
        await page.get_by_role("button", name="Cancel").click()
        await older.asked()
        await tracker.complete("a")
        await shows(page, ".now", "Done")
        await older.come(lost=True)
    assert await text(page, ".note") == ""


async def test_an_element_that_is_gone_says_no_more(site: Site, page: Any) -> None:
    await show(page, site, 'operation="a" cancellable')
    await shows(page, ".percent", "10 %")
    async with holding(page, "**/a/cancel") as older:
        await page.get_by_role("button", name="Cancel").click()
        await older.asked()
        await page.evaluate(
            f"""() => {{
              window.troubles = 0;
              const gone = {ELEMENT};
              gone.addEventListener("trouble", () => {{ troubles += 1; }});
              gone.remove();
            }}"""
        )
        await older.come(lost=True)
    assert await page.evaluate("troubles") == 0


async def test_what_was_cancelled_and_begins_again_can_be_cancelled(
    site: Site, page: Any, tracker: ProgressTracker
) -> None:
    await show(page, site, 'operation="a" cancellable')
    await shows(page, ".percent", "10 %")
    await page.get_by_role("button", name="Cancel").click()
    await shows(page, ".cancel", "Cancelling …")
    await tracker.cancel("a")
    await shows(page, ".now", "Cancelled")
    await tracker.restart("a")
    await page.evaluate(f"{ELEMENT}.client.refresh('a')")  # another element's button, a hook's
    await tracker.update("a", 30)
    await shows(page, ".percent", "30 %")
    assert await text(page, ".cancel") == "Cancel"


async def test_parts_of_the_former_operation(
    site: Site, page: Any, tracker: ProgressTracker
) -> None:
    for whole in ("x", "y"):
        await tracker.create(id=whole, user_id="anna", total=2)
        for n in range(2):
            await tracker.create(id=f"{whole}{n}", parent_id=whole)
    await page.goto(site.url)
    async with holding(page, "**/progress/?parentId=x*") as older:
        await page.evaluate(SHOW, '<progress-tracker operation="x" parts></progress-tracker>')
        await older.asked()
        await of(page, "y")
        await until_in(page, f"{PARTS} === 'y0,y1'")
        await older.come()
    assert await page.evaluate(PARTS) == "y0,y1"
    # and there and back
    await of(page, "a")
    await shows(page, ".percent", "10 %")
    assert await page.evaluate(PARTS) == ""
    await of(page, "y")
    await until_in(page, f"{PARTS} === 'y0,y1'")


async def test_another_operation_while_it_is_away(site: Site, page: Any) -> None:
    """As lists do that use their rows again."""
    await show(page, site, 'operation="a"')
    await shows(page, ".percent", "10 %")
    await page.evaluate(
        f"""() => {{
          const row = {ELEMENT};
          row.remove();
          row.setAttribute("operation", "nobody");
          document.body.append(row);
        }}"""
    )
    await shows(page, ".note", "There is no such operation")
    assert await text(page, ".percent") == ""
    assert await text(page, ".label") == "nobody"


async def test_another_client(site: Site, page: Any) -> None:
    await show(page, site, 'operation="a"')
    await shows(page, ".percent", "10 %")
    await page.evaluate(
        f"""async () => {{
          const {{ ProgressClient }} = await import("/progress/client/latest/client.js");
          {ELEMENT}.client = new ProgressClient("/progress/", {{ token: "bens" }});
        }}"""
    )
    await shows(page, ".note", "There is no such operation")
    assert await text(page, ".percent") == ""


async def test_a_state_that_is_taken_away(site: Site, page: Any) -> None:
    await page.goto(site.url)
    await page.evaluate(SHOW, "<progress-tracker parts></progress-tracker>")
    await page.evaluate(
        f"""async () => {{
          const {{ fromJSON }} = await import("/progress/client/latest/client.js");
          const state = {{ id: "z", status: "processing", progress: 40, metadata: {{}} }};
          {ELEMENT}.progress = fromJSON(state);
        }}"""
    )
    await shows(page, ".percent", "40 %")
    await page.evaluate(f"() => {{ {ELEMENT}.progress = undefined; }}")
    assert await text(page, ".percent") == ""


async def test_a_listener_that_has_stopped_hears_nothing_more(
    site: Site, page: Any, tracker: ProgressTracker
) -> None:
    await page.goto(site.url)
    await page.evaluate(
        """async () => {
          const { ProgressClient } = await import("/progress/client/latest/client.js");
          window.client = new ProgressClient("/progress/");
          window.seen = [];
          let stop = () => {};
          client.watch("a", ({ progress }) => {
            seen.push(`first ${progress}`);
            if (progress > 10) stop();
          });
          stop = client.watch("a", ({ progress }) => seen.push(`second ${progress}`));
        }"""
    )
    await until_in(page, "seen.includes('second 10')")
    await tracker.update("a", 50)
    await until_in(page, "seen.includes('first 50')")
    assert await page.evaluate("seen.at(-1)") == "first 50"
    # nor does who closed the client before it was told
    await page.evaluate(
        """async () => {
          client.watch("a", () => seen.push("after"));
          client.close();
          await null;
        }"""
    )
    assert await page.evaluate("seen.at(-1)") == "first 50"


@pytest.mark.parametrize("late", ["the end before", "an answer to the question before"])
async def test_what_the_socket_says_late(
    site: Site, page: Any, tracker: ProgressTracker, late: str
) -> None:
    """What is told of the time before ends no watching: the connection stays."""
    await page.add_init_script(BETWEEN)
    await page.goto(site.url)
    await page.evaluate(
        """async () => {
          const { ProgressClient } = await import("/progress/client/latest/client.js");
          window.client = new ProgressClient("/progress/", { transports: ["websocket"] });
          window.seen = [];
          client.watch("a", ({ epoch, progress }) => seen.push(`${epoch} ${progress}`), () => {});
        }"""
    )
    await until_in(page, "seen.at(-1) === '1 10'")
    await tracker.complete("a")
    await until_in(page, "seen.at(-1) === '1 100'")
    await page.evaluate("window.end = heard.at(-1)")
    await tracker.restart("a")
    await page.evaluate("client.refresh('a')")
    await tracker.update("a", 30)
    await until_in(page, "seen.at(-1) === '2 30'")
    again = {"the end before": "end"}.get(late, '\'{"type":"gone","id":"a"}\'')
    await page.evaluate(f"say({again})")
    await tracker.update("a", 40)
    await until_in(page, "seen.at(-1) === '2 40'")
    await page.evaluate("fiveSeconds()")
    await tracker.update("a", 50)
    await until_in(page, "seen.at(-1) === '2 50'")


async def test_the_ready_page_keeps_the_focus(
    site: Site, page: Any, tracker: ProgressTracker
) -> None:
    await page.goto(site.url)
    await page.goto(f"{site.url}progress/client/latest/demo.html")
    await page.get_by_role("button", name="Cancel title of a").focus()
    await tracker.create(id="c", user_id="anna", metadata={"title": "title of c"})
    await until_in(page, "document.querySelectorAll('main > *').length === 3")
    assert await page.evaluate("document.activeElement?.getAttribute('operation')") == "a"


async def test_the_ready_page_after_signing_in(site: Site, page: Any) -> None:
    await page.goto(f"{site.url}?as=nobody")
    await page.goto(f"{site.url}progress/client/latest/demo.html")
    said = "document.getElementById('connection').textContent"
    await until_in(page, f"{said} === 'sign in first'")
    await page.context.add_cookies([{"name": "token", "value": "bens", "url": site.url}])
    await until_in(page, f"{said} === ''")
