"""The YAML of the users' specification loads, and each key has its effect."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notify import (
    ConfigurationError,
    InvalidNotification,
    Notification,
    NotificationService,
    Settings,
)
from notify.testing import FakeClock

YAML = """
notification:
  # Persistence
  storage:
    type: postgresql
    connection_string: "${DATABASE_URL}"
    table: "notifications"

  # WebSocket
  websocket:
    enabled: true
    path: "/ws/notifications"
    cors_origins: ["http://localhost:5173"]

  # Email channel
  email:
    enabled: true
    provider: sendgrid # or ses, mailgun
    from_address: "noreply@example.com"
    template_dir: "./templates/email"

  # Push notifications
  push:
    enabled: false
    provider: firebase # or onesignal
    credentials_path: "./firebase-credentials.json"

  # Retention
  retention:
    read: 2592000 # 30 days
    unread: 7776000 # 90 days
"""


def note(**more) -> Notification:
    return Notification(title="t", user_id="ann", **more)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pytest.importorskip("yaml")
    made = tmp_path / "settings.yaml"
    made.write_text(YAML, encoding="utf-8")
    return made


def test_specified_yaml_loads(path) -> None:
    settings = Settings.from_yaml(path, environ={"DATABASE_URL": "postgresql://localhost/app"})
    assert settings.storage.url() == "postgresql://localhost/app"
    assert settings.retention.read == 2_592_000
    assert settings.email is not None
    assert settings.email.from_address == "noreply@example.com"


async def test_the_whole_section_at_work(path, tmp_path, monkeypatch, caplog) -> None:
    pytest.importorskip("sqlalchemy")
    monkeypatch.chdir(tmp_path)
    path.write_text(YAML.replace("type: postgresql", "type: sqlite"), encoding="utf-8")
    settings = Settings.from_yaml(path, environ={"DATABASE_URL": f"sqlite:///{tmp_path}/n.db"})
    async with NotificationService(settings) as service:
        for _ in range(2):
            sent = await service.send(note(channels=["in-app", "email", "push", "sms"]))
    found = {each.channel: (str(each.status), each.reason) for each in sent.deliveries}
    assert found["in-app"] == ("delivered", None)
    assert found["email"][0] == "suppressed"
    assert "email provider 'sendgrid' needs the key email.api_key" in found["email"][1]
    assert found["push"] == ("suppressed", "channel_missing: not set up")
    warned = [each for each in caplog.records if each.getMessage() == "channel.missing"]
    assert len(warned) <= 3
    assert (tmp_path / "n.db").exists()


async def test_table(tmp_path) -> None:
    pytest.importorskip("sqlalchemy")
    import sqlite3

    service = NotificationService()
    service.configure({"storage": {"type": "sqlite", "path": f"{tmp_path}/n.db", "table": "inbox"}})
    async with service:
        await service.send(note())
    with sqlite3.connect(tmp_path / "n.db") as link:
        assert link.execute("SELECT count(*) FROM inbox").fetchone() == (1,)
        names = {
            row[0] for row in link.execute("SELECT name FROM sqlite_master WHERE type='table'")
        }
    link.close()
    assert {
        "inbox",
        "inbox_deliveries",
        "inbox_events",
        "inbox_users",
        "inbox_preferences",
    } <= names
    assert not any(name.startswith("notifications") for name in names)


async def test_retention() -> None:
    clock = FakeClock()
    service = NotificationService(clock=clock)
    service.configure({"retention": {"read": 100, "unread": 1000}})
    async with service:
        now = datetime.fromtimestamp(clock.time(), UTC)
        read = await service.send(note(timestamp=now))
        await service.send(note(timestamp=now + timedelta(seconds=1)))
        await service.mark_as_read(read.id, "ann")
        await clock.advance(99)
        assert await service.sweep() == 0
        await clock.advance(2)
        assert await service.sweep() == 1
        await clock.advance(1000)
        assert await service.sweep() == 1


async def test_email_smtp_and_from_address() -> None:
    pytest.importorskip("aiosmtplib")
    service = NotificationService()
    service.configure({
        "email": {
            "provider": "smtp", "url": "smtp://u:p@mail.example.com:2525?pool=2",
            "from_address": "Shop <shop@example.com>",
        }
    })  # fmt: skip
    async with service:
        await service.unread_count("ann")
        [channel] = service._parts.delivery.channels["email"]
        assert channel._sender.addr_spec == "shop@example.com"
        assert channel._options["hostname"] == "mail.example.com"
        assert channel._options["start_tls"] is True


@pytest.mark.parametrize(
    ("email", "reason"),
    [
        ({"provider": "smtp", "from_address": "a@b.example"}, "needs the key email.url"),
        ({"provider": "smtp", "url": "smtp://h"}, "needs the key email.from_address"),
        ({"url": "smtp://h"}, "needs the key email.from_address"),
        ({"provider": "pigeon", "from_address": "a@b.example"}, "'pigeon' is not available"),
        ({"provider": "ses", "from_address": "a@b.example"}, "needs the key email.options.region"),
        ({"provider": "twilio", "api_key": "k"}, "sends only text messages"),
        (
            {
                "provider": "sendgrid",
                "from_address": "a@b.example",
                "api_key": "k",
                "options": {"nonsense": 1},
            },
            "nonsense",
        ),
        ({"provider": "smtp", "url": "smtp://h", "from_address": "nobody"}, "no e-mail address"),
        (
            {"provider": "smtp", "url": "smtp://h?x=1", "from_address": "a@b.example"},
            "unknown option",
        ),
        (
            {"provider": "smtp", "url": "smtp://h?pool=0", "from_address": "a@b.example"},
            "pool is 1",
        ),
        ({"provider": "smtp", "url": "smtp://h?pool=x", "from_address": "a@b.example"}, "number"),
        (
            {"provider": "smtp", "url": "http://h", "from_address": "a@b.example"},
            "expected smtp://",
        ),
        (
            {
                "provider": "smtp",
                "url": "smtp://u:p@h?security=none",
                "from_address": "a@b.example",
            },
            "AUTH without TLS",
        ),
        ({"from_address": "a@b.example"}, "email.provider is not set"),
        ({"enabled": False, "provider": "console"}, "not set up"),
    ],
)
async def test_what_email_lacks_is_said_at_its_first_use(email, reason) -> None:
    service = NotificationService()
    service.configure({"email": email})
    async with service:
        sent = await service.send(note(channels=["email"]))
    [delivery] = sent.deliveries
    assert str(delivery.status) == "suppressed"
    assert reason in delivery.reason


async def test_push_says_what_is_available() -> None:
    service = NotificationService()
    service.configure({"push": {"provider": "pigeon", "credentials_path": "./gone.json"}})
    async with service:
        [delivery] = (await service.send(note(channels=["push"]))).deliveries
    assert delivery.reason == (
        "channel_missing: push provider 'pigeon' is not available; "
        "available: apprise, firebase, onesignal, webhook, webpush"
    )


async def test_email_console_and_template_dir(tmp_path, capsys) -> None:
    (tmp_path / "hi.subject").write_text("Hi {{ who }}")
    from notify import MemoryDirectory

    service = NotificationService(directory=MemoryDirectory({("ann", "email"): "ann@example.com"}))
    service.configure({"email": {"provider": "console", "template_dir": str(tmp_path)}})
    async with service:
        await service.send(note(channels=["email"], template="hi", context={"who": "Ann"}), wait=60)
    shown = capsys.readouterr().out
    assert "ann@example.com" in shown
    assert "Subject: Hi Ann" in shown


async def test_delivery_background_off_leaves_it_to_workers() -> None:
    service = NotificationService()
    service.configure({"delivery": {"background": False}, "email": {"provider": "console"}})
    async with service:
        await service.send(note(channels=["email"]))
        assert not service._tasks - {t for t in service._tasks if "sweep" in t.get_name()}


async def test_preference_layers() -> None:
    service = NotificationService()
    service.configure({
        "preferences": {
            "default": {"channels": None, "categories": {"ads": False}, "timezone": "Asia/Tokyo"},
            "categories": {
                "security": {"channels": ["in-app", "sms"], "quiet_hours": False},
                "news": {"enabled": {"sms": False}},
            },
        }
    })  # fmt: skip
    async with service:

        async def channels(category, **prefs):
            await service.set_preferences("ann", prefs)
            sent = await service.send(note(category=category))
            return {each.channel: each.reason for each in sent.deliveries}

        assert await channels("security") == {"in-app": None, "sms": "channel_missing: not set up"}
        assert await channels(None) == {"in-app": None}
        assert await channels("ads") == {"in-app": "category_off"}
        assert await channels("ads", categories={"ads": True}) == {"in-app": None}
        assert await channels("ads", categories={"ads": {"in-app": True}}) == {"in-app": None}
        assert await channels("security", channels=["in-app"]) == {"in-app": None}
        assert (await service.get_preferences("ann")).timezone == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("mapping", "path"),
    [
        ({"storage": {"kind": "x"}}, r"\$\.storage"),
        ({"storage": {"table": "a; DROP TABLE x"}}, "table"),
        ({"websocket": {"path": "nope"}}, r"\$\.websocket\.path"),
        ({"retention": {"read": -1}}, r"\$\.retention\.read"),
        ({"delivery": {"lease": 5, "timeout": 5}}, "lease"),
        ({"base_url": "javascript:x"}, "base_url"),
        ({"preferences": {"default": {"timezone": "Mars"}}}, "Mars"),
        ({"preferences": {"default": {"nope": 1}}}, "preferences.default"),
        ({"email": {"token": "x"}}, r"\$\.email"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_wrong_settings_name_their_path(mapping, path) -> None:
    with pytest.raises(ConfigurationError, match=path):
        Settings.from_mapping(mapping)


@pytest.mark.parametrize(
    "storage",
    [
        {"type": "postgresql"},
        {"type": "sqlite", "connection_string": "postgresql://h/d"},
        {"type": "postgresql", "path": "x.db"},
    ],
)
def test_storage_that_does_not_add_up(storage) -> None:
    with pytest.raises(ConfigurationError):
        Settings.from_mapping({"storage": storage}).storage.url()


async def test_unknown_channels_in_the_layers_are_refused() -> None:
    for preferences in (
        {"default": {"channels": ["pigeon"]}},
        {"categories": {"a": {"channels": ["pigeon"]}}},
        {"categories": {"a": {"enabled": {"pigeon": True}}}},
    ):
        service = NotificationService()
        service.configure({"preferences": preferences})
        with pytest.raises(ConfigurationError, match="pigeon"):
            await service.send(note())


async def test_warnings_come_once(caplog) -> None:
    caplog.set_level(logging.WARNING)
    async with NotificationService.from_url("memory://") as service:
        for _ in range(3):
            await service.send(note(channels=["sms"]))
    assert sum(each.getMessage() == "channel.missing" for each in caplog.records) <= 1


def chain(service: NotificationService, name: str) -> list[str]:
    found = service._parts.delivery.channels.get(name, ())
    return [each.provider for each in found]


async def test_failover_is_the_order_of_providers() -> None:
    pytest.importorskip("aiosmtplib")
    service = NotificationService()
    sender = {"from_address": "a@b.example"}
    service.configure(
        {
            "email": {
                "provider": "sendgrid", "api_key": "k", **sender,
                "failover": [
                    {"provider": "mailgun", "api_key": "k", "options": {"domain": "d"}, **sender},
                    {"url": "smtp://h", **sender},
                    {"provider": "ses", **sender},
                ],
            }
        }
    )  # fmt: skip
    async with service:
        await service.send(note(channels=["email"]))
        assert chain(service, "email") == ["sendgrid", "mailgun", "smtp"]
        assert "email.options.region" in service._parts.delivery.missing["email"]


async def test_sms_and_channels_of_other_names() -> None:
    secret = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
    service = NotificationService()
    service.configure(
        {
            "sms": {
                "provider": "twilio", "api_key": "t",
                "options": {"account_sid": "AC1", "from_number": "+1", "timeout": 7.5},
            },
            "push": {"provider": "onesignal", "api_key": "k", "options": {"app_id": "a"}},
            "channels": {
                "hook": {"provider": "webhook", "api_key": secret, "url": "https://x.example/in"},
                "chat": {"provider": "apprise", "url": "json://localhost"},
                "off": {"enabled": False, "provider": "apprise"},
            },
        }
    )  # fmt: skip
    async with service:
        await service.send(note(channels=["hook", "chat"]))
        assert chain(service, "sms") == ["twilio"]
        assert chain(service, "push") == ["onesignal"]
        assert chain(service, "hook") == ["webhook"]
        assert chain(service, "chat") == ["apprise"]
        [twilio] = service._parts.delivery.channels["sms"]
        assert twilio._timeout == 7.5
        with pytest.raises(InvalidNotification, match="off"):
            await service.send(note(channels=["off"]))


@pytest.mark.parametrize("name", ["in-app", "email"])
async def test_names_with_a_section_of_their_own(name) -> None:
    service = NotificationService()
    service.configure({"channels": {name: {"provider": "apprise", "url": "json://h"}}})
    with pytest.raises(ConfigurationError, match="section of its own"):
        await service.send(note())


async def test_credentials_path(tmp_path) -> None:
    service = NotificationService()
    path = tmp_path / "gone.json"
    push = {"provider": "firebase", "credentials_path": str(path)}
    service.configure({"push": push, "delivery": {"background": False}})
    from notify import MemoryDirectory

    service.configure(directory=MemoryDirectory({("ann", "push"): "token"}))
    async with service:
        sent = await service.send(note(channels=["push"]))
        await service.deliver_due()
        [delivery] = await service.deliveries(sent.id)
        assert str(delivery.status) == "pending"
        assert "credentials cannot be read" in delivery.reason
