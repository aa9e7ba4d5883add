"""Operations in a notebook, with and without IPython."""

import asyncio
import sys
import threading
from html.parser import HTMLParser
from typing import Any

import pytest

from progress_tracker import ProgressTracker, sync
from progress_tracker.notebook import View, to_html

EVIL = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'


class Tags(HTMLParser):
    """The tags of a piece of HTML, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        assert not [name for name, _ in attributes if name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


class Displays:
    """What a view needs of IPython's displays."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []
        self.changed = threading.Condition()

    def display(self, bundle: dict[str, str], *, raw: bool, display_id: bool) -> "Displays":
        assert raw
        assert display_id
        self.shown.append(bundle)
        return self

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        assert raw
        with self.changed:
            self.shown.append(bundle)
            self.changed.notify_all()

    def wait(self, words: str) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: words in self.shown[-1]["text/plain"], timeout=10)


@pytest.fixture
def blocking() -> Any:
    with sync.ProgressTracker(ProgressTracker.from_url("memory://")) as made:
        yield made


@pytest.fixture
def displays(monkeypatch: pytest.MonkeyPatch) -> Displays:
    made = Displays()
    monkeypatch.setitem(sys.modules, "IPython.display", made)
    return made


def test_a_view_that_moves(blocking: Any, displays: Displays) -> None:
    blocking.create(id="a", stages=["read", "write"], metadata={"title": "Import"})
    view = View(blocking, "a", "later")
    view._ipython_display_()
    assert "Import" in displays.shown[0]["text/plain"]
    assert "waiting for later" in displays.shown[0]["text/html"]
    blocking.update("a", 50, "read", message="row 7")
    displays.wait("Import  25%")
    blocking.create(id="later")
    displays.wait("later")
    blocking.fail("a", ValueError("no"))
    displays.wait("✗ Import  25%  no")
    blocking.complete("later")
    displays.wait("✓ later  100%")
    assert [each.id for each in view.states] == ["a", "later"]
    while blocking.get_stats().watchers:
        threading.Event().wait(0.01)


def test_stopping(blocking: Any, displays: Displays) -> None:
    blocking.create(id="a")
    view = View(blocking.asynchronous, "a")
    view._ipython_display_()
    displays.wait("a  0%")
    view._ipython_display_()
    assert blocking.get_stats().watchers == 1, "shown twice, followed once"
    view.stop()
    view.stop()
    while blocking.get_stats().watchers:
        threading.Event().wait(0.01)


def test_without_ipython(
    blocking: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "IPython.display", raising=False)
    blocking.create(id="a")
    blocking.update("a", 40)
    view = View(blocking, "a")
    assert repr(View(blocking, "a", "b")) == "View(a, b)"
    assert set(view._repr_mimebundle_()) == {"text/plain", "text/html"}
    view._ipython_display_()
    assert capsys.readouterr().out == "● a  40%\n"


async def test_in_a_cell_that_awaits(displays: Displays) -> None:
    async with ProgressTracker.from_url("memory://") as tracker:
        await tracker.create(id="a", metadata={"title": "Import"})
        view = View(tracker, "a")
        view._ipython_display_()
        assert "waiting for a" in displays.shown[0]["text/html"]
        await tracker.complete("a")
        await asyncio.to_thread(displays.wait, "✓ Import")


def test_what_others_wrote_is_text(blocking: Any) -> None:
    blocking.create(id=EVIL, stages=[EVIL, "t"], metadata={"title": EVIL})
    blocking.update(EVIL, 30, EVIL, message=EVIL)
    blocking.skip_stage(EVIL, "t")
    found = Tags(to_html(blocking.get(EVIL)))
    assert set(found.tags) == {"div", "b", "span"}
    assert EVIL in found.text
    blocking.fail(EVIL, EVIL)
    assert set(Tags(to_html(blocking.get(EVIL))).tags) == {"div", "b", "span"}
    assert set(Tags(View(blocking, EVIL)._repr_html_()).tags) == {"div"}


def test_a_real_ipython(blocking: Any) -> None:
    """Its display calls are what we think they are."""
    pytest.importorskip("IPython")
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell = InteractiveShell.instance()
    blocking.create(id="a", metadata={"title": "Import"})
    shell.user_ns["view"] = View(blocking, "a")
    with capture_output() as seen:
        shell.run_cell("view")
        blocking.complete("a")
        while blocking.get_stats().watchers:
            threading.Event().wait(0.01)
    InteractiveShell.clear_instance()
    assert not seen.stderr
    assert "Import" in seen.outputs[0].data["text/html"]
    assert "✓ Import  100%" in seen.outputs[-1].data["text/plain"]
