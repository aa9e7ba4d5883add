"""Links: what they say, and every way to bend them."""

import base64

import pytest

from exporter import (
    ConfigurationError,
    ExportError,
    ExportExpired,
    ExportService,
    ExportSource,
    InvalidLink,
    Settings,
)
from exporter.links import Claim, LinkSigner
from exporter.testing import FakeClock

KEYS = {"new": "n" * 40, "old": "o" * 40}
CLAIM = Claim("job", "job-x/file.txt", 1000.0, "user", "once")
ROWS = ExportSource("custom", "1", {"rows": [{"a": 1}]})


def service(clock: FakeClock, keys: dict[str, str] = KEYS) -> ExportService:
    settings = {
        "storage": {"url": "memory://"},
        "history": {"url": "memory://"},
        "downloads": {"signing_keys": keys, "ttl": 100, "retention": 0},
    }
    return ExportService(Settings.from_mapping(settings), clock=clock)


def test_what_is_signed_is_read() -> None:
    signer = LinkSigner(KEYS)
    assert signer.check(signer.sign(CLAIM), 999.9) == CLAIM
    with pytest.raises(ExportExpired):
        signer.check(signer.sign(CLAIM), 1000.0)


def test_every_bit_counts() -> None:
    signer = LinkSigner(KEYS)
    token = signer.sign(CLAIM)
    for at in range(len(token)):
        for bit in range(8):
            bent = bytearray(token.encode())
            bent[at] ^= 1 << bit
            with pytest.raises(InvalidLink):
                signer.check(bent.decode("latin-1"), 0)
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for at in range(len(raw)):
        for bit in range(8):
            bent = bytearray(raw)
            bent[at] ^= 1 << bit
            with pytest.raises(InvalidLink):
                signer.check(base64.urlsafe_b64encode(bent).rstrip(b"=").decode(), 0)


def test_only_the_canonical_form() -> None:
    signer = LinkSigner(KEYS)
    token = signer.sign(CLAIM)
    for other in (
        token + "=",
        token + "\n",
        " " + token,
        token[:-1],
        token + "A",
        "",
        "." + token,
        token.replace("-", "+").replace("_", "/") + "/",
        token * 20,
        "\u0661" + token,
    ):
        with pytest.raises(InvalidLink):
            signer.check(other, 0)


def test_keys_rotate() -> None:
    before = LinkSigner({"old": KEYS["old"]})
    token = before.sign(CLAIM)
    assert LinkSigner(KEYS).check(token, 0) == CLAIM
    with pytest.raises(InvalidLink):
        LinkSigner({"new": KEYS["new"]}).check(token, 0)
    with pytest.raises(InvalidLink):
        LinkSigner({"old": KEYS["new"]}).check(token, 0)
    with pytest.raises(InvalidLink):
        LinkSigner({}).check(token, 0)
    with pytest.raises(ConfigurationError):
        LinkSigner({}).sign(CLAIM)


async def test_links_of_the_service(clock: FakeClock) -> None:
    async with service(clock) as exports:
        job = await exports.wait((await exports.export(ROWS, "csv", user_id="ann")).id, 60)
        token = await exports.link(job.id)
        assert (await exports.open_link(token)).id == job.id
        bound = await exports.link(job.id, ttl=50, user_id="ann")
        assert (await exports.open_link(bound, "ann")).id == job.id
        for other in ("bob", None, ""):
            with pytest.raises(InvalidLink):
                await exports.open_link(bound, other)
        with pytest.raises(ExportError):
            await exports.link(job.id, user_id="bob")
        once = await exports.link(job.id, single_use=True)
        assert (await exports.open_link(once, use=False)).id == job.id
        assert (await exports.open_link(once)).id == job.id
        with pytest.raises(InvalidLink, match="used"):
            await exports.open_link(once)
        clock.shift(51)
        with pytest.raises(ExportExpired):
            await exports.open_link(bound, "ann")
        assert (await exports.open_link(token)).id == job.id
        await exports.delete(job.id)
        with pytest.raises(ExportExpired):
            await exports.open_link(token)


async def test_a_link_keeps_its_file(clock: FakeClock) -> None:
    async with service(clock) as exports:
        job = await exports.wait((await exports.export(ROWS, "csv")).id, 60)
        token = await exports.link(job.id, ttl=1000)
        clock.shift(500)
        assert await exports.cleanup() == 0
        assert (await exports.open_link(token)).id == job.id
        clock.shift(501)
        assert await exports.cleanup() == 1


async def test_a_link_of_an_earlier_attempt_is_void(clock: FakeClock) -> None:
    async with service(clock) as exports:
        job = await exports.wait((await exports.export(ROWS, "csv")).id, 60)
        token = await exports.link(job.id)
        record = await exports.history.get(job.id)
        assert record is not None
        record.key = "another/file.csv"
        await exports.history.save(record)
        with pytest.raises(ExportExpired):
            await exports.open_link(token)
