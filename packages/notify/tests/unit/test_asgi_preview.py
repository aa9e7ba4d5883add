"""The page that shows templates: only to whom `authorize` lets, and never as our own markup."""

import pytest

httpx = pytest.importorskip("httpx")
pytest.importorskip("starlette")

from notify import NotificationService  # noqa: E402
from notify.asgi import create_app  # noqa: E402


@pytest.fixture
async def service(tmp_path):
    folder = tmp_path / "email" / "shop"
    folder.mkdir(parents=True)
    (folder / "welcome.html").write_text("<script>hacked()</script><h1>Hi {{ name }}</h1>")
    (folder / "welcome.de.html").write_text("<h1>Hallo {{ name }}</h1>")
    (folder / "welcome.subject").write_text("Welcome {{ name }}")
    made = NotificationService()
    made.configure({"templates": {"dir": str(tmp_path)}})
    async with made:
        yield made


def web(service, authorize=None):
    app = create_app(service, authenticate=lambda c: c.headers.get("x-user"), authorize=authorize)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://host", headers={"x-user": "anna"}
    )


async def test_nobody_may_by_default(service) -> None:
    async with web(service) as client:
        for path in ("/preview", "/preview/email/shop/welcome"):
            assert (await client.get(path)).status_code == 404
            assert (await client.get(path, headers={"x-user": ""})).status_code == 401


async def test_who_may_is_asked_each_time(service) -> None:
    asked = []

    async def authorize(user, action, record):
        asked.append((user, action, record))
        return record is None

    async with web(service, authorize) as client:
        listed = await client.get("/preview")
        assert 'href="preview/email/shop/welcome"' in listed.text
        assert (await client.get("/preview/email/shop/welcome")).status_code == 404
    assert asked == [("anna", "preview", None), ("anna", "preview", "shop/welcome")]


async def test_a_template_is_shown_apart(service) -> None:
    async with web(service, lambda *_: True) as client:
        query = {"context": '{"name": "<b>Ada</b>"}'}
        got = await client.get("/preview/email/shop/welcome", params=query)
        assert got.status_code == 200
        assert "Welcome &lt;b&gt;Ada&lt;/b&gt;" in got.text
        assert "<script" not in got.text
        assert "<b>Ada" not in got.text
        assert '<iframe sandbox title="The message" srcdoc="&lt;script&gt;' in got.text
        policy = got.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        query["locale"] = "de-AT"
        german = await client.get("/preview/email/shop/welcome", params=query)
        assert "Hallo" in german.text


@pytest.mark.parametrize(
    "context",
    ["{", "[]", "5", '{"self": 1}', '{"template": 1}', '{"channel": 1}', "{}", "[" * 5000,
     '{"name": "' + "x" * 30_000 + '"}'],
)  # fmt: skip
async def test_what_is_wrong_is_said(service, context) -> None:
    async with web(service, lambda *_: True) as client:
        got = await client.get("/preview/email/shop/welcome", params={"context": context})
        assert got.status_code == 400
        assert 'role="alert"' in got.text


@pytest.mark.parametrize("path", ["email/none", "sms/shop/welcome", "../email/shop/welcome"])
async def test_what_is_not_there(service, path) -> None:
    async with web(service, lambda *_: True) as client:
        got = await client.get(f"/preview/{path.replace('..', '%2e%2e')}")
        assert got.status_code == 404
        assert "root:" not in got.text


async def test_the_listing(service) -> None:
    assert await service.list_templates() == [("email", "shop/welcome")]
