"""The command line, and what people see."""

import asyncio
import io
import json
import socket
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from progress_tracker import MissingExtraError, ProgressNotFound, ProgressTracker, sync
from progress_tracker.cli import main
from progress_tracker.terminal import board, show


@pytest.fixture
def store(tmp_path: Path) -> str:
    pytest.importorskip("sqlalchemy")
    url = f"sqlite:///{tmp_path}/p.db"
    with sync.ProgressTracker.from_url(url) as tracker:
        tracker.create(id="a", user_id="u", kind="import", stages=["s", "t"])
        tracker.update("a", 50, "s", message="half\x1b[2J")
        tracker.create(id="done")
        tracker.complete("done")
        tracker.create(id="bad")
        tracker.fail("bad", "no\nmore")
    return url


def test_list(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--url", store]) == 0
    out = capsys.readouterr().out
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["bad", "failed"], ["done", "completed"], ["a", "processing"],
    ]  # fmt: skip
    assert main(["list", "--url", store, "--user", "u", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["stage"] == "s"


def test_watch(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "done", "--url", store]) == 0
    assert main(["watch", "done", "bad", "--url", store, "--plain"]) == 1
    out = capsys.readouterr().out
    assert "done: completed 100%" in out
    assert "bad: failed 0% (no)" in out
    assert main(["watch", "nobody", "--url", store]) == 1
    assert "no operation 'nobody'" in capsys.readouterr().err


def test_schema(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "sql", "--url", store]) == 0
    assert "CREATE TABLE IF NOT EXISTS progress" in capsys.readouterr().out
    assert main(["schema", "upgrade", "--url", store]) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["list", "--url", "memory://"],
        ["list", "--url", "nonsense"],
        ["list", "--url", "redis://x"],
        ["list", "--url", "http://127.0.0.1:9/", "--header", "nonsense"],
        ["list", "--url", "http://127.0.0.1:9/", "--user", "u"],
        ["list", "--url", "http://127.0.0.1:9/"],
    ],
)
def test_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("progress-tracker: ")
    assert "Traceback" not in err


@pytest.fixture
def server() -> Iterator[Any]:
    """A web application in a thread, over a tracker in memory."""
    uvicorn = pytest.importorskip("uvicorn")
    pytest.importorskip("starlette")
    from progress_tracker.asgi import create_app

    tracker = ProgressTracker.from_url("memory://")

    def who(connection: Any) -> str | None:
        return connection.headers.get("authorization")

    config = uvicorn.Config(
        create_app(tracker, authenticate=who), port=0, log_level="error", ws="none", lifespan="off"
    )
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        threading.Event().wait(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}", sync.ProgressTracker(tracker)
    running.should_exit = True
    thread.join(60)


def test_a_web_application(
    server: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url, tracker = server
    tracker.create(id="a/ü b", user_id="me")
    codes: list[int] = []
    header = ["--header", "Authorization: me"]
    watching = threading.Thread(
        target=lambda: codes.append(main(["watch", "a/ü b", "--url", url, *header]))
    )
    watching.start()
    while not tracker.get_stats().watchers:
        threading.Event().wait(0.01)
    tracker.update("a/ü b", 50)
    tracker.complete("a/ü b")
    watching.join(60)
    assert codes == [0]
    assert "completed 100%" in capsys.readouterr().out
    assert main(["list", "--url", url, *header]) == 0
    assert "a/ü b" in capsys.readouterr().out
    assert main(["watch", "nobody", "--url", url, *header]) == 1
    assert main(["list", "--url", url]) == 2
    assert "401" in capsys.readouterr().err
    pytest.importorskip("yaml")
    settings = tmp_path / "settings.yaml"
    socket = url.replace("http", "ws") + "/ws/progress"
    settings.write_text(f"progress_tracker: {{realtime: {{websocket_url: '{socket}'}}}}")
    monkeypatch.setenv("PROGRESS_TRACKER_CONFIG", str(settings))
    assert main(["list", *header]) == 0, "the settings say where the application is"
    tracker.close()


async def _busy(tracker: ProgressTracker) -> None:
    async with tracker.track("p", metadata={"title": "Import of\x1b everything"}, total=2) as p:
        for n in range(2):
            async with p.child(f"c{n}", kind="part", stages=["x", "y"]) as c:
                c.stage("x", message="reading")
                await asyncio.sleep(0.02)
                c.stage("y", total=3)
                c.advance(1)
        await tracker.create(id="bad")
        await tracker.fail("bad", "broken [red]")


async def test_lines() -> None:
    out = io.StringIO()
    async with ProgressTracker.from_url("memory://") as tracker:
        work = asyncio.create_task(_busy(tracker))
        last = await show(tracker, ["p", "c0", "bad"], file=out)
        await work
        with pytest.raises(ProgressNotFound):
            await show(tracker, ["nobody"], file=out, wait_for_create=0)
    assert {id: str(each.status) for id, each in last.items()} == {
        "p": "completed", "c0": "completed", "bad": "failed",
    }  # fmt: skip
    text = out.getvalue()
    assert "Import of  everything: completed 100% (2/2 parts)" in text
    assert "bad: failed 0% (broken [red])" in text
    assert "\x1b" not in text


async def test_bars() -> None:
    pytest.importorskip("rich")
    out = io.StringIO()
    async with ProgressTracker.from_url("memory://") as tracker:
        work = asyncio.create_task(_busy(tracker))
        await show(tracker, ["p", "c0", "c1", "bad"], file=out, live=True)
        await work
    text = out.getvalue()
    for word in ("✓", "✗", "100%", "Import of", "broken [red]", "━"):
        assert word in text


def test_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "rich.progress", None)

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert type(board(Terminal())).__name__ == "Lines"
    with pytest.raises(MissingExtraError, match=r"progress-tracker\[cli\]"):
        board(Terminal(), live=True)


def test_a_header_without_a_web_application(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--url", store, "--header", "A: b"]) == 2
    assert "--header" in capsys.readouterr().err


def test_a_listing_obeys_nobodys_escape_sequences(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with sync.ProgressTracker.from_url(store) as tracker:
        tracker.create(id="esc", metadata={"title": "\x1b[2Jgone"})
        tracker.update("esc", 5, message="\x1b]0;title\x07")
    assert main(["list", "--url", store]) == 0
    out = capsys.readouterr().out
    assert "[2Jgone" in out
    assert "\x1b" not in out
    assert "\x07" not in out


HOSTILE = "\x1b[2J\x1b]52;c;aGk=\x07\x9b2J\x90q\x08\r\u202e\u2066\U000e0041"


@pytest.mark.parametrize("command", ["list", "list --json", "show", "show --json", "watch"])
def test_nothing_that_others_wrote_reaches_the_terminal(
    store: str, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """In each text that is theirs: C0 and C1 controls, marks of direction, invisible tags."""
    with sync.ProgressTracker.from_url(store) as tracker:
        tracker.create(id="esc", metadata={"title": HOSTILE, HOSTILE: [HOSTILE]}, stages=["s"])
        tracker.update("esc", 5, message=HOSTILE)
        with tracker.track("esc", resume=True) as p:
            p.log(HOSTILE)
            p.result = {HOSTILE: HOSTILE}
        tracker.create(id="worse")
        tracker.fail("worse", f"{HOSTILE}\n{HOSTILE}")
    name, *options = command.split()
    for ids in [[]] if name == "list" else [["esc"], ["worse"]]:
        assert main([name, *ids, *options, "--url", store]) in {0, 1}
        out = capsys.readouterr().out
        assert all(each.isprintable() or each == "\n" for each in out)
        if "--json" in options:
            found = [json.loads(each) for each in (out.splitlines() if name == "list" else [out])]
            said = {str((each["error"] or each["metadata"]).get("title")) for each in found}
            assert HOSTILE in said or ids == ["worse"]


def test_what_a_server_says_is_no_command_either(capsys: pytest.CaptureFixture[str]) -> None:
    answer = f"HTTP/1.1 400 \x1b[2J{HOSTILE[:5]}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            link, _ = listening.accept()
            link.recv(10_000)
            link.sendall(answer)
            link.close()

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        assert main(["show", "x", "--url", url]) == 2
        thread.join(60)
    err = capsys.readouterr().err
    assert "400" in err
    assert "\x1b" not in err


def test_a_web_application_may_not_know_it_yet(
    server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    url, tracker = server
    codes: list[int] = []
    arguments = ["watch", "late", "--wait", "60", "--url", url, "--header", "Authorization: me"]
    watching = threading.Thread(target=lambda: codes.append(main(arguments)))
    watching.start()
    threading.Event().wait(0.3)
    tracker.create(id="late", user_id="me")
    tracker.complete("late")
    watching.join(60)
    assert codes == [0]
    tracker.close()


def test_show_and_cancel(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    with sync.ProgressTracker.from_url(store) as tracker, tracker.track("logs", total=4) as p:
        p.advance(2)
        p.log("a line\x1b[2J")
        p.result = {"rows": 2}
    assert main(["show", "a", "--url", store]) == 0
    out = capsys.readouterr().out
    for words in ("● import  25.0%  processing", "user     u", "● s", "50.0%", "half"):
        assert words in out
    assert main(["show", "logs", "--url", store]) == 0
    out = capsys.readouterr().out
    for words in ("✓ logs", "done     2/4", 'result   {"rows":2}', "info    a line"):
        assert words in out
    assert "\x1b" not in out
    assert main(["show", "a", "--json", "--url", store]) == 0
    assert json.loads(capsys.readouterr().out)["stage"] == "s"
    assert main(["cancel", "a", "--url", store]) == 0
    assert "asked to stop: a" in capsys.readouterr().out
    assert main(["show", "a", "--url", store]) == 0
    assert "asked for" in capsys.readouterr().out
    assert main(["show", "nobody", "--url", store]) == 1
    assert main(["cancel", "done", "--url", store]) == 2


def test_a_web_application_shows_and_cancels(
    server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    url, tracker = server
    tracker.create(id="a", user_id="me")
    tracker.create(id="part", user_id="me", parent_id="a")
    tracker.create(id="yours", user_id="you")
    header = ["--url", url, "--header", "Authorization: me"]
    assert main(["show", "a", *header]) == 0
    assert "0/1 parts" in capsys.readouterr().out
    assert main(["list", "--parent", "a", *header]) == 0
    assert capsys.readouterr().out.split()[0] == "part"
    assert main(["cancel", "a", *header]) == 0
    assert tracker.get("a").cancel_requested
    for command in ("show", "cancel", "watch"):
        assert main([command, "yours", *header]) == 1
    assert not tracker.get("yours").cancel_requested
    tracker.complete("a")
    assert main(["cancel", "a", *header]) == 2
    assert "has ended" in capsys.readouterr().err
    tracker.close()


@pytest.mark.parametrize("id", ["events", "a/events", "a/cancel", "..", "../a", "é %2F?#"])
def test_a_web_application_knows_every_id(
    server: Any, capsys: pytest.CaptureFixture[str], id: str
) -> None:
    url, tracker = server
    tracker.create(id="a", user_id="me")
    tracker.create(id=id, user_id="me")
    header = ["--url", url, "--header", "Authorization: me"]
    assert main(["show", id, "--json", *header]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == id
    assert main(["cancel", id, *header]) == 0
    assert tracker.get(id).cancel_requested
    assert not tracker.get("a").cancel_requested
    tracker.complete(id)
    assert main(["watch", id, *header]) == 0
    tracker.close()


async def test_bars_of_stages_and_parts() -> None:
    pytest.importorskip("rich")
    from progress_tracker.terminal.bars import Bars

    def drawn(shown: Any) -> str:
        from rich.console import Console

        console = Console(width=110, record=True, file=io.StringIO())
        console.print(shown._render())
        return console.export_text()

    async with ProgressTracker.from_url("memory://") as tracker:
        await tracker.create(id="p", stages=["upload", "transcribe", "skipped"], total=5)
        await tracker.skip_stage("p", "skipped")
        await tracker.update("p", 40, "upload", message="[bold]half")
        await tracker.create(id="all", total=12)
        for n in range(12):
            await tracker.create(id=f"part{n}", parent_id="all")
        await tracker.complete("part0")
        await tracker.update("part1", 55)
        bars = Bars(io.StringIO())
        bars.show(await tracker.get("p"))
        bars.show(await tracker.get("all"))
        bars.show_parts("all", await tracker.list_progress(parent_id="all"))
        lines = drawn(bars).splitlines()
        assert any("● upload" in line and "40%" in line for line in lines)
        assert any("· transcribe" in line and "%" not in line for line in lines)
        assert "[bold]half" in lines[0]
        parts = [line for line in lines if " part" in line and "parts" not in line]
        assert len(parts) == 8
        assert "part1" in parts[0]
        assert "55%" in parts[0]
        assert any("… 4 more" in line for line in lines)
        await tracker.complete("p")
        bars.show(await tracker.get("p"))
        assert not any("upload" in line for line in drawn(bars).splitlines())
        looked: list[str] = []

        async def look(id: str) -> Any:
            looked.append(id)
            return await tracker.list_progress(parent_id=id)

        from progress_tracker.terminal import follow

        followed = asyncio.create_task(
            follow(["all"], tracker.watch, look, file=io.StringIO(), live=True)
        )
        async with asyncio.timeout(120):
            while len(looked) < 2:
                await asyncio.sleep(0.01)
        await tracker.complete("all")
        await followed
        assert set(looked) == {"all"}


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.split() == ["progress-tracker", version("progress-tracker")]
