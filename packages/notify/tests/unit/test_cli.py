"""The command line: what it prints, its exit codes, no traceback."""

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from notify.cli import main

APP = """
from notify import ChannelError, MemoryDirectory, NotificationService, Settings
from notify.testing import FakeChannel
channel = FakeChannel("email", ChannelError("554 no"))
settings = Settings.from_mapping(
    {"storage": {"connection_string": "sqlite:///n.db"}, "delivery": {"background": False}}
)
notifications = NotificationService(
    settings, channels=[channel], directory=MemoryDirectory({("ann", "email"): "a@b.example"})
)
nothing = 1
"""


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    name = f"cli_app_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(APP)
    return f"{name}:notifications"


@pytest.fixture
def run(capsys):
    def call(*words: str) -> tuple[int, str, str]:
        code = main(words)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


def test_from_send_to_replay(app, run) -> None:
    code, out, _ = run(
        "send", "ann", "Hello", "--channel", "email", "--channel", "in-app", "--app", app
    )
    assert code == 0
    sent = out.splitlines()[0]
    assert out.splitlines()[1:] == ["email\tpending\t", "in-app\tdelivered\t"]
    assert run("list", "ann", "--url", "sqlite:///n.db")[1] == f"{sent}\tunread\tinfo\tHello\n"
    assert run("worker", "--once", "--app", app)[1] == "1\n"
    assert "email\tdead\t1\t554 no" in run("deliveries", sent, "--app", app)[1]
    assert run("deliveries", "--status", "dead", "--channel", "sms", "--app", app)[1] == ""
    code, out, _ = run("explain", sent, "--app", app)
    assert "email failed for good after 1 attempt(s): 554 no" in out
    assert run("replay", sent, "--app", app)[1] == "1\n"
    assert run("replay", "--all-dead", "--app", app)[1] == "0\n"
    assert run("worker", "--once", "--app", app)[1] == "1\n"
    assert "email\tdelivered" in run("deliveries", sent, "--app", app)[1]


def test_schema(run, tmp_path) -> None:
    url = f"sqlite:///{tmp_path}/n.db"
    assert run("schema", "upgrade", "--url", url)[0] == 0
    assert "CREATE TABLE IF NOT EXISTS notifications" in run("schema", "sql", "--url", url)[1]


def test_preview(run, tmp_path) -> None:
    pytest.importorskip("yaml")
    (tmp_path / "hi.html").write_text("<p>Hi {{ who }}</p>")
    (tmp_path / "hi.subject").write_text("Hi")
    config = tmp_path / "s.yaml"
    config.write_text(json.dumps({"notification": {"email": {"template_dir": str(tmp_path)}}}))
    code, out, _ = run("preview", "hi", "--context", '{"who": "A&B"}', "--config", str(config))
    assert code == 0
    assert out == "Subject: Hi\n\nHi A&B\n\n--- html ---\n<p>Hi A&amp;B</p>\n"
    assert (
        run(
            "preview", "hi", "--part", "subject", "--config", str(config), "--context", '{"who":1}'
        )[1]
        == "Hi\n"
    )
    for words in (["gone"], ["hi"], ["hi", "--context", "{"], ["hi", "--context", '{"locale":1}']):
        code, _, err = run("preview", *words, "--config", str(config))
        assert code == 2
        assert err.startswith("notify: ")


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["send", "ann", "t"], 2, "which store?"),
        (["send", "ann", "t", "--url", "memory://"], 2, "another process"),
        (["worker", "--url", "memory://"], 2, "another process"),
        (["send", "ann", "", "--url", "sqlite:///n.db"], 2, "title"),
        (["send", "ann", "t", "--channel", "pigeon", "--url", "sqlite:///n.db"], 2, "pigeon"),
        (["list", "ann", "--url", "gopher://x"], 2, "unknown store"),
        (["list", "ann", "--url", "sqlite:///n.db", "--limit", "0"], 2, "limit"),
        (["explain", "nope", "--url", "sqlite:///n.db"], 1, "no notification"),
        (["replay", "nope", "--url", "sqlite:///n.db"], 1, "no notification"),
        (["replay", "--url", "sqlite:///n.db"], 2, "--all-dead"),
        (["list", "ann", "--app", "no_such_module_at_all:x"], 2, "no module"),
        (["list", "ann", "--app", ":"], 2, "module:service"),
        (["list", "ann", "--app", ".x:y"], 2, "module:service"),
        (["list", "\udcff", "--url", "sqlite:///n.db"], 2, "user_id"),
        (["explain", "\udcff", "--url", "sqlite:///n.db"], 1, "no notification"),
        (["send", "ann", "t", "--wait", "nan", "--url", "sqlite:///n.db"], 2, "wait"),
        (["list", "ann", "--app", "json:loads"], 2, "no NotificationService"),
        (["list", "ann", "--app", "a:b", "--url", "x://"], 2, "give one of"),
        (["list", "ann", "--config", "gone.yaml"], 2, "gone.yaml"),
    ],
)
def test_mistakes_are_one_line(run, tmp_path, monkeypatch, words, code, text) -> None:
    pytest.importorskip("yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    found, _, err = run(*words)
    assert found == code
    assert text in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1


def test_the_worker_stops_on_sigterm(app, tmp_path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "notify", "worker", "--app", app],
        stdout=subprocess.PIPE, cwd=tmp_path, env={**os.environ}, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "worker ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    process.stdout.close()
    assert Path(tmp_path, "n.db").exists()


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.split() == ["notify", version("notify")]
