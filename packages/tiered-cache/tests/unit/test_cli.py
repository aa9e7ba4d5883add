"""The command line."""

import asyncio
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tiered_cache import CacheProvider, Settings
from tiered_cache.cli import main


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/cache.db"


def fill(url: str, **values: Any) -> None:
    async def work() -> None:
        async with CacheProvider.from_url(url) as cache:
            for key, value in values.items():
                await cache.set(key, value, tags=["t"], max_stale=60)

    asyncio.run(work())


def test_get_and_delete(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    fill(url, k=("a", 1), none=None)
    assert main(["get", "k", "--url", url]) == 0
    assert capsys.readouterr().out == "('a', 1)\n"
    assert main(["get", "none", "--url", url]) == 0
    assert capsys.readouterr().out == "None\n"
    assert main(["delete", "k", "--url", url]) == 0
    assert "done in every process" in capsys.readouterr().out
    assert main(["get", "k", "--url", url]) == 1
    assert "nothing is cached" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["invalidate", "t", "u"], ["invalidate", "t", "--soft"], ["clear"]]
)
def test_invalidating(url: str, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    fill(url, k=1)
    assert main([*command, "--url", url]) == 0
    assert "done in every process" in capsys.readouterr().out
    assert main(["get", "k", "--url", url]) == 1


def test_the_environment_names_the_level(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(url, k=1)
    monkeypatch.setenv("TIERED_CACHE_URL", url)
    assert main(["get", "k"]) == 0
    assert capsys.readouterr().out == "1\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["get", "k", "--url", "memory://"], "no shared level is named"),
        (["get", "k", "--url", "nothing://x"], "nothing"),
        (["get", "k", "--url", "sqlite:////dev/null/cache.db"], "does not answer"),
        (["get", "", "--url", "URL"], "non-empty"),
    ],
)
def test_errors_are_one_line(
    url: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([url if each == "URL" else each for each in arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.startswith("tiered-cache: ")
    assert err.count("\n") == 1


def test_wrong_use_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "inf", "often"])
def test_an_interval_is_over_nothing(interval: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["top", "--url", "redis://x", "--interval", interval])
    assert caught.value.code == 2
    assert "seconds over 0" in capsys.readouterr().err


def test_unconfirmed_is_told(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tiered_cache import Invalidation

    async def unsure(*_: Any, **__: Any) -> Invalidation:
        return Invalidation(confirmed=False)

    fill(url, k=1)
    monkeypatch.setattr(CacheProvider, "delete", unsure)
    assert main(["delete", "k", "--url", url]) == 1
    assert "not confirmed" in capsys.readouterr().out


def test_interrupting(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(work: Any) -> int:
        work.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "run", interrupted)
    assert main(["clear", "--url", "memory://"]) == 130


async def test_figures_of_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/c.db"
    assert await asyncio.to_thread(main, ["stats", "--url", url]) == 0
    assert "no process shares its figures" in capsys.readouterr().out
    mapping = {
        "l2": {"connection_string": url},
        "metrics": {"share": True, "collect_interval": 10},
    }
    async with CacheProvider(Settings.from_mapping(mapping)) as cache:
        await cache.set("a", 1)
        await cache.get("a")
        shared = (await cache.opened()).shared
        assert shared is not None
        hostile = {
            "broken": b"{", "list": b"[]", "text": b'{"at": "now"}', "endless": b'{"at": 1e999}',
            "strange": b'{"at": 1, "hit_rate": "high", "hits": null}',
        }  # fmt: skip
        for name, data in hostile.items():
            await shared.report(f"foreign-{name}", data, 60)
        await shared.report("\x1b[2Jnode", b'{"at": 1, "breaker": "\\u001b[31mred"}', 60)
        async with asyncio.timeout(60):
            while len(await shared.reports() or {}) < len(hostile) + 2:
                await asyncio.sleep(0.01)
        assert await asyncio.to_thread(main, ["stats", "--url", url]) == 0
        out = capsys.readouterr().out
        assert "values in the shared level: 1" in out
        assert "closed" in out
        assert "foreign" not in out
        assert "?[2Jnode" in out
        assert "?[31mred" in out
        assert "\x1b" not in out
        command = ["top", "--url", url, "--interval", "0.2", "--count", "3"]
        assert await asyncio.to_thread(main, command) == 0
        assert capsys.readouterr().out.count("hit rate") == 3


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.split() == ["tiered-cache", version("tiered-cache")]
