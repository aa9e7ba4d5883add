"""Stores and channels of other distributions, found by entry point."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from _common.third_party import installed
from notify import ConfigurationError, Notification, NotificationService
from notify.registry import channel_from_settings
from notify.settings import ChannelSettings

CODE = """
from notify.adapters.console import ConsoleChannel
from notify.adapters.memory import MemoryStore


class Attic(MemoryStore):
    pass


class Cellar(MemoryStore):
    @classmethod
    def from_url(cls, url, *, table):
        return cls()


class Misfit(MemoryStore):
    @classmethod
    def from_url(cls, url):
        return cls()


class Pigeon(ConsoleChannel):
    @classmethod
    def from_settings(cls, section, name):
        return cls(name)


class Crow(ConsoleChannel):
    @classmethod
    def from_settings(cls, section):
        return cls("email")
"""
POINTS = {f"notify.stores/{name.lower()}": name for name in ("Attic", "Cellar", "Misfit")}
POINTS |= {f"notify.channels/{name.lower()}": name for name in ("Pigeon", "Crow")}


@pytest.fixture(autouse=True)
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(tmp_path / "site", monkeypatch, CODE, POINTS):
        yield


@pytest.mark.parametrize("scheme", ["attic", "cellar"])
async def test_a_store_is_found_by_its_scheme(scheme: str) -> None:
    async with NotificationService.from_url(f"{scheme}://") as notifications:
        await notifications.send(Notification(type="info", title="t", message="m", user_id="ada"))
        assert await notifications.unread_count("ada") == 1


async def test_one_that_is_made_in_another_way_says_so() -> None:
    with pytest.raises(ConfigurationError, match=r"'misfit' is installed, but Misfit.from_url\(…"):
        await NotificationService.from_url("misfit://somewhere").unread_count("ada")


def test_a_channel_is_found_by_its_name() -> None:
    made = channel_from_settings(ChannelSettings(enabled=True, provider="pigeon"), "email")
    assert type(made).__name__ == "Pigeon"
    with pytest.raises(ConfigurationError, match=r"'crow' is installed, but Crow.from_settings"):
        channel_from_settings(ChannelSettings(enabled=True, provider="crow"), "email")


@pytest.mark.parametrize(
    "given",
    [
        {"store": "sqlite:///n.db"},
        {"backplane": "memory"},
        {"channels": ["email"]},
        {"directory": {"ada": "ada@example.com"}},
    ],
)
def test_a_part_that_is_none(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="takes a ready") as refused:
        NotificationService(**given)
    assert next(iter(given)) in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_part_that_is_none_later() -> None:
    service = NotificationService()
    for given in ({"channels": ["email"]}, {"directory": len}):
        with pytest.raises(ConfigurationError, match="takes a ready"):
            service.configure(**given)  # type: ignore[arg-type]
