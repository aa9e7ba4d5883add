"""One-click unsubscription, end to end: header, link, GET that changes nothing, POST that does."""

import asyncio
from email import message_from_bytes, policy

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx")

import httpx

from notify import InvalidPreferences, Notification, NotificationService, Settings
from notify.adapters.mail import build_mail, sender_of
from notify.adapters.memory import MemoryStore
from notify.asgi import create_app
from notify.delivery.links import Links, Wish
from notify.settings import UnsubscribeSettings
from notify.testing import NOW, FakeClock, Outbox

KEY, OTHER = "k" * 32, "o" * 40
SETTINGS = {"unsubscribe": {"url": "https://app.example/unsubscribe/", "signing_keys": [KEY]}}


def note(**more) -> Notification:
    given = {"title": "t", "user_id": "änn", "channels": ["in-app", "email"], "category": "news"}
    return Notification(**{**given, **more})


@pytest.fixture
async def outbox():
    made = Outbox(**SETTINGS)
    async with made.service:
        yield made


@pytest.fixture
async def pages(outbox):
    app = create_app(outbox.service, authenticate=lambda _: None)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://app.example") as client:
        yield client


async def test_end_to_end(outbox, pages) -> None:
    outbox.directory.set("änn", "email", "ann@mail.example")
    await outbox.service.send(note())
    [message] = await outbox.deliver()
    written = build_mail(message, sender_of("us@app.example")).as_bytes()
    assert b"List-Unsubscribe: <https://app.example/unsubscribe/" in written, "it is encoded"
    mail = message_from_bytes(written, policy=policy.default)
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message.unsubscribe_url in message.text
    assert message.unsubscribe_url in message.html
    link = mail["List-Unsubscribe"].strip("<>")
    before = await outbox.service.get_preferences("änn")
    for _ in range(3):
        page = await pages.get(link)
        assert page.status_code == 200
        assert 'method="post"' in page.text
    assert await outbox.service.get_preferences("änn") == before, "a GET changes nothing"
    done = await pages.post(
        link,
        content="List-Unsubscribe=One-Click",
        headers={
            "content-type": "application/x-www-form-urlencoded", "origin": "https://mail.example",
        },
    )  # fmt: skip
    assert done.status_code == 200
    assert (await outbox.service.get_preferences("änn")).categories == {"news": {"email": False}}
    assert (await pages.post(link)).status_code == 200, "again is no fault"
    sent = await outbox.service.send(note())
    assert {each.channel: each.reason for each in sent.deliveries} == {
        "in-app": None, "email": "category_off",
    }  # fmt: skip
    await outbox.service.send(note(category="bills"))
    assert len(await outbox.deliver()) == 1


async def test_other_wishes_stay(outbox, pages) -> None:
    prefs = {"categories": {"news": {"push": False}, "chat": False}, "locale": "de"}
    await outbox.service.set_preferences("änn", prefs)
    await outbox.service.send(note())
    [message] = await outbox.deliver()
    await pages.post(message.unsubscribe_url)
    kept = await outbox.service.get_preferences("änn")
    assert kept.categories == {"news": {"push": False, "email": False}, "chat": False}
    assert kept.locale == "de"


async def test_a_category_that_was_wanted_everywhere_stays_so_elsewhere() -> None:
    """Of what is off by default and a user has asked for, a link ends one channel alone."""
    outbox = Outbox(
        **SETTINGS, preferences={"categories": {"news": {"enabled": False}}, "default": {}}
    )
    async with outbox.service:
        await outbox.service.set_preferences("änn", {"categories": {"news": True}})
        await outbox.service.send(note(channels=["in-app", "email", "push"]))
        first = {each.recipient.address: each for each in await outbox.deliver()}
        link = first["änn@email.example.com"].unsubscribe_url
        assert await outbox.service.unsubscribe(link.rpartition("/")[2])
        sent = await outbox.service.send(note(channels=["in-app", "email", "push"]))
        assert {each.channel: each.reason for each in sent.deliveries} == {
            "in-app": None, "email": "category_off", "push": None,
        }  # fmt: skip


async def test_without_a_category_the_channel_is_off(outbox, pages) -> None:
    await outbox.service.send(note(category=None))
    [message] = await outbox.deliver()
    await pages.post(message.unsubscribe_url)
    sent = await outbox.service.send(note(channels=["in-app", "email", "sms"]))
    found = {each.channel: each.reason for each in sent.deliveries}
    assert found == {"in-app": None, "email": "channel_off", "sms": None}


async def test_who_ends_mail_gets_no_texts_instead(outbox, pages) -> None:
    """What a user gets by default, and by channels of the application's own, stays as it was."""
    service = outbox.service
    await service.send(note(category=None))
    [message] = await outbox.deliver()
    await pages.post(message.unsubscribe_url)
    sent = await service.send(note(category=None, channels=None))
    assert [each.channel for each in sent.deliveries] == ["in-app"]
    kept = await service.get_preferences("änn")
    assert (kept.channels, list(kept.muted)) == (None, ["email"])
    await service.set_preferences("änn", kept)  # as a page does that shows and stores them
    assert await service.get_preferences("änn") == kept
    critical = await service.send(note(category=None, priority="critical"))
    assert {each.channel: each.reason for each in critical.deliveries}["email"] == "channel_off"


@pytest.mark.parametrize("bad", ["email", 5, ["pigeon"], [["email"]]])
async def test_what_cannot_be_muted(outbox, bad) -> None:
    with pytest.raises(InvalidPreferences):
        await outbox.service.set_preferences("ann", {"muted": bad})


async def test_which_messages_carry_it(outbox) -> None:
    await outbox.service.send(note(channels=["sms"]))
    await outbox.service.send(note(priority="critical"))
    assert [each.unsubscribe_url for each in await outbox.deliver()] == [None, None]
    plain = Outbox()
    async with plain.service:
        await plain.service.send(note(user_id="ann"))
        [message] = await plain.deliver()
    assert message.unsubscribe_url is None
    assert "List-Unsubscribe" not in build_mail(message, sender_of("us@app.example"))


async def test_a_category_without_links() -> None:
    made = Outbox(**SETTINGS, preferences={"categories": {"news": {"unsubscribe": False}}})
    async with made.service:
        await made.service.send(note())
        [message] = await made.deliver()
    assert message.unsubscribe_url is None


async def test_what_is_not_signed_does_nothing(outbox, pages) -> None:
    links = Links(UnsubscribeSettings(url="https://x.example", signing_keys=[KEY]))
    token = links.token(Wish("ann", "email", "news"), NOW)
    forged = Links(UnsubscribeSettings(url="https://x.example", signing_keys=[OTHER]))
    for wrong in (
        "", "x", ".", token[:-1], f"{token}A", f"{token}=", token.swapcase(), f"a{token}",
        forged.token(Wish("ann", "email", "news"), NOW), "é" * 20, "A" * 5000,
    ):  # fmt: skip
        for ask in (pages.get, pages.post):
            found = await ask(f"/unsubscribe/{wrong}")
            assert found.status_code in {404, 405, 400}, wrong
    for place in range(len(token)):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert links.read(changed, NOW) is None, place
    assert (await outbox.service.get_preferences("ann")).categories == {}


def test_keys_are_exchanged_and_links_end() -> None:
    def links(*keys: str) -> Links:
        return Links(UnsubscribeSettings(url="https://x.example", signing_keys=keys))

    wish = Wish("ann", "email", None)
    token = links(KEY).token(wish, NOW)
    assert links(OTHER, KEY).read(token, NOW) == wish
    assert links(OTHER).read(token, NOW) is None
    assert links(KEY).read(token, NOW + 399 * 86_400) == wish
    assert links(KEY).read(token, NOW + 401 * 86_400) is None
    assert Links(UnsubscribeSettings()).read(token, NOW) is None
    assert Links(UnsubscribeSettings()).link(wish, NOW) is None
    assert links(KEY).link(Wish("\U0001f600" * 200, "email", "news"), NOW) is None


class Hesitating(MemoryStore):
    """Lets others go on between reading and writing, as a store behind a network does."""

    async def get_preferences(self, user_id):
        found = await super().get_preferences(user_id)
        await asyncio.sleep(0)
        return found


async def test_links_followed_at_once_all_hold() -> None:
    settings = Settings.from_mapping(SETTINGS)
    links, names = Links(settings.unsubscribe), [f"c{n}" for n in range(20)]
    async with NotificationService(settings, store=Hesitating(), clock=FakeClock(NOW)) as service:
        tokens = [links.token(Wish("ann", "email", each), NOW) for each in names]
        assert all(await asyncio.gather(*map(service.unsubscribe, tokens)))
        wanted = {each: {"email": False} for each in names}
        assert (await service.get_preferences("ann")).categories == wanted


@pytest.mark.parametrize("bad", [None, 5, b"a.b", "\ud800.x", ""])
async def test_what_is_no_token(outbox, bad) -> None:
    assert await outbox.service.unsubscribe(bad) is False
    assert await outbox.service.can_unsubscribe(bad) is False
