"""Templates: fallback, escaping, strictness, limits, and nothing outside the folder."""

import pytest

from notify import Notification, NotificationService, TemplateError
from notify.htmltext import text_of
from notify.settings import TemplateSettings
from notify.templates import Templates
from notify.testing import FakeChannel, Outbox


@pytest.fixture
def folder(tmp_path):
    def write(**files: str):
        for name, text in files.items():
            channel, _, rest = name.partition("__")
            path = tmp_path / channel / rest.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write


def templates(path, **settings) -> Templates:
    return Templates(TemplateSettings(dir=str(path), **settings), {})


def test_locales_fall_back(folder) -> None:
    path = folder(
        email__welcome_html="plain {{ name }}",
        email__welcome_en_html="english {{ name }}",
        email__welcome_de_html="deutsch {{ name }}",
        email__welcome_de_subject="Hallo\n{{ name }}",
        email__welcome_subject="Hi {{ name }}",
        email__welcome_de_txt="nur Text {{ name }}",
    )
    made = templates(path)

    def shown(locale):
        found = made.render("email", "welcome", {"name": "Ann"}, locale)
        return found.html, found.subject, found.text

    assert shown("de-AT") == ("deutsch Ann", "Hallo Ann", "nur Text Ann")
    assert shown("de_CH") == shown("de")
    assert shown("fr") == ("english Ann", "Hi Ann", "english Ann\n")
    assert shown(None) == shown("en")
    assert (
        templates(path, locale="xx").render("email", "welcome", {"name": "A"}, "fr").html
        == "plain A"
    )


def test_two_languages_never_mix(folder) -> None:
    made = templates(folder(email__a_de_html="<p>deutsch</p>", email__a_txt="english"))
    found = made.render("email", "a", {}, "de")
    assert found.text == "deutsch\n"
    found = templates(folder(email__b_de_txt="deutsch", email__b_html="english")).render(
        "email", "b", {}, "de"
    )
    assert (found.html, found.text) == (None, "deutsch")


def test_html_is_escaped_and_text_is_not(folder) -> None:
    made = templates(
        folder(email__a_html="<b>{{ x }}</b>", email__a_txt="{{ x }}", email__a_subject="{{ x }}")
    )
    found = made.render("email", "a", {"x": "<i>&"}, None)
    assert (found.html, found.text, found.subject) == ("<b>&lt;i&gt;&amp;</b>", "<i>&", "<i>&")


@pytest.mark.parametrize(
    "source",
    [
        "{{ missing }}",
        "{{ known.missing }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ known.__init__ }}",
        "{% include '../secret.txt' %}",
        "{% include '/etc/passwd' %}",
        "{% extends 'gone.html' %}",
        "{{ 'a' * 50000000 }}",
        "{{ 5 * 'aaaaaaaaaaaaaaaaaaaaaaaaaaa' * 1000000 }}",
        "{{ 9 ** 99999999 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '{:999999999}'.format(1) }}",
        "{{ 'a'.ljust(999999999) }}",
        "{{ 'a'|center(999999999) }}",
        "{% for a in range(9999999) %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}xxxxxxxxxxxxxxx{% endfor %}",
        "{{ 'a'|dictsort }}",
        "{{ known.append(1) }}",
        "{{ 1 / 0 }}",
        "{{ cycler.__init__.__globals__ }}",
    ],
)
def test_what_a_template_cannot_do(folder, tmp_path, source) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    made = templates(folder(email__a_html=source), max_size=100_000, timeout=0.5)
    with pytest.raises(TemplateError, match=r"'a\.html'"):
        made.render("email", "a", {"known": [1]}, None)


def test_links_out_of_the_folder_lead_nowhere(folder, tmp_path) -> None:
    path = folder(email__a_html="x")
    (tmp_path / "secret.txt").write_text("secret")
    (path / "email" / "b.html").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(TemplateError, match="missing"):
        templates(path).render("email", "b", {}, None)


def test_the_check_at_start_names_file_and_line(folder) -> None:
    with pytest.raises(TemplateError, match=r"'sub/a.html' of 'email', line 2"):
        templates(folder(email__sub__a_html="x\n{% if %}")).check()
    with pytest.raises(TemplateError, match="over 10 bytes"):
        templates(folder(email__sub__a_html="x" * 11), max_size=10).check()


def test_a_changed_file_is_read_again(folder) -> None:
    import os

    path = folder(email__a_txt="old")
    made = templates(path)
    assert made.render("email", "a", {}, None).text == "old"
    folder(email__a_txt="new")
    os.utime(path / "email" / "a.txt", (1, 1))
    assert made.render("email", "a", {}, None).text == "new"


async def test_templates_through_the_service(folder) -> None:
    path = folder(
        email__ready_de_html="<h1>{{ title }}</h1><p>{{ n }} Seiten</p>"
        "<a href='{{ action_url }}'>los</a>",
        email__ready_de_subject="{{ n }} Seiten fertig",
        **{"in-app__ready_subject": "{{ n }} pages", "in-app__ready_txt": "All {{ n }} are there"},
    )
    outbox = Outbox(templates={"dir": str(path)}, base_url="https://app.example/x")
    async with outbox.service as service:
        await service.set_preferences("ann", {"locale": "de"})
        sent = await service.send(
            Notification(
                title="Ready",
                user_id="ann",
                template="ready",
                context={"n": 3},
                action_url="/t/1",
                channels=["in-app", "email", "sms"],
                message="plain",
            )
        )
        assert (sent.notification.title, sent.notification.message) == (
            "3 pages",
            "All 3 are there",
        )
        mail, sms = await outbox.deliver()
        assert mail.subject == "3 Seiten fertig"
        assert (
            mail.html
            == "<h1>3 pages</h1><p>3 Seiten</p><a href='https://app.example/x/t/1'>los</a>"
        )
        assert "los (https://app.example/x/t/1)" in mail.text
        assert sms.text.startswith("All 3 are there")
        for bad in ({"template": "gone"}, {"template": "ready", "context": {}}):
            with pytest.raises(TemplateError):
                await service.send(
                    Notification(title="t", user_id="ann", channels=["email"], **bad)
                )
        shown = await service.preview("ready", locale="de", n=4, title="T", action_url="/x")
        assert shown["subject"] == "4 Seiten fertig"


async def test_a_template_that_breaks_later_is_dead_with_the_reason(folder) -> None:
    path = folder(email__a_txt="fine")
    outbox = Outbox(templates={"dir": str(path)})
    async with outbox.service as service:
        sent = await service.send(
            Notification(title="t", user_id="ann", template="a", channels=["email"])
        )
        (path / "email" / "a.txt").write_text("{{ gone }}")
        await outbox.deliver()
        [delivery] = await service.deliveries(sent.id)
        assert str(delivery.status) == "dead"
        assert "'gone' is undefined" in (delivery.reason or "")


async def test_the_plain_layout(outbox) -> None:
    await outbox.service.send(
        Notification(
            title="<T>",
            message="a\n<b>",
            user_id="ann",
            channels=["email"],
            action_label="Go",
            action_url="https://x.example/?a=1&b=2",
        )
    )
    [mail] = await outbox.deliver()
    assert mail.text == "a\n<b>\n\nGo: https://x.example/?a=1&b=2\n"
    assert "&lt;T&gt;" in mail.html
    assert 'href="https://x.example/?a=1&amp;b=2"' in mail.html
    await outbox.service.send(
        Notification(title="t", user_id="ann", channels=["email"], action_url="/only/a/path")
    )
    [mail] = await outbox.deliver()
    assert "/only/a/path" in mail.text
    assert "href" not in mail.html


def test_text_made_from_html() -> None:
    html = (
        "<html><head><title>no</title><style>p{}</style></head><body><h1>Hello&nbsp;Ann</h1>"
        "<p>One<br>two   three</p><ul><li>a<li>b</ul><a href='https://x'>link</a> "
        "<a href='#x'>here</a> <a href='y'>y</a><hr><img alt='logo'><script>bad()</script>"
        "<table><tr><td>1</td><td>2</td></tr></table></body></html>"
    )
    text = text_of(html)
    assert "no" not in text.split()
    assert "bad" not in text
    for part in (
        "Hello Ann",
        "One\ntwo three",
        "- a\n- b",
        "link (https://x)",
        "here",
        "---",
        "logo",
        "1 2",
    ):
        assert part in text, part
    assert "\n\n\n" not in text


async def test_a_missing_folder_is_a_warning_until_used(caplog) -> None:
    async with NotificationService() as service:
        service.configure({"templates": {"dir": "/nowhere/at/all"}})
        await service.send(Notification(title="t", user_id="ann"))
        assert "templates.missing" in caplog.text
        with pytest.raises(TemplateError, match="/nowhere/at/all"):
            await service.send(Notification(title="t", user_id="ann", template="a"))


async def test_a_retry_after_a_template_changed_is_the_same_notification(folder) -> None:
    outbox = Outbox(templates={"dir": str(folder(**{"in-app__a_txt": "old"}))})

    def made() -> Notification:
        return Notification(title="t", user_id="ann", template="a", idempotency_key="k")

    async with outbox.service as service:
        first = await service.send(made())
        folder(**{"in-app__a_txt": "new, and longer"})
        again = await service.send(made())
        assert again.duplicate
        assert (again.id, again.notification.message) == (first.id, "old")


@pytest.mark.parametrize(
    "source",
    ["{{ 1.5|round(999999999, 'ceil') }}", "{{ lipsum(999999999) }}", "{{ [[1]]|sum(start=[]) }}"],
)
def test_what_takes_for_ever_is_refused(folder, source) -> None:
    made = templates(folder(email__a_txt=source))
    with pytest.raises(TemplateError):
        made.render("email", "a", {}, None)


def test_what_writing_filters_do(folder) -> None:
    source = "{{ x ~ 1 ~ y }} {{ n|batch(2, 0)|list }} {{ n|slice(2)|list }} {{ n|sum }} "
    source += "{{ 2.345|round(1) }} {{ x|upper|escape }} {{ [x, 1] }} {{ 2 * 3 }} {{ y|safe }}"
    made = templates(folder(email__a_html=source, email__a_txt=source))
    found = made.render("email", "a", {"x": "<", "y": "b&", "n": [1, 2, 3]}, None)
    rest = " [[1, 2], [3, 0]] [[1, 2], [3]] 6 2.3 "
    assert found.text == f"<1b&{rest}&lt; ['<', 1] 6 b&"
    assert found.html == f"&lt;1b&amp;{rest}&lt; [&#39;&lt;&#39;, 1] 6 b&"


def test_what_replace_and_join_do(folder) -> None:
    source = "{{ x|replace('a', '<') }} {{ x.replace('a', 'b', 1) }} {{ y|join(', ') }} "
    source += "{{ '-'.join(y) }} {{ z|join('+', attribute='k') }}"
    made = templates(folder(email__a_html=source))
    given = {"x": "aa", "y": ["1", "<"], "z": [{"k": 1}, {"k": 2}]}
    found = made.render("email", "a", given, None)
    assert found.html == "&lt;&lt; ba 1, &lt; 1-&lt; 1+2"


async def test_a_value_that_a_filter_breaks_on_stops_nobody_else(folder) -> None:
    """What a filter raises, whatever it is, is the error of one notification."""
    where = folder(email__a_txt="{{ x|truncate(3) }}", email__a_subject="s")
    async with NotificationService(channels=[FakeChannel("email")]) as service:
        service.configure({"templates": {"dir": str(where)}, "delivery": {"background": False}})
        notes = [
            Notification(
                title="t", user_id="ann", channels=["email"], template="a", context={"x": x}
            )
            for x in ("good", ["bad"] * 9, "good")
        ]
        found = await service.send_bulk(notes)
        assert [each.ok for each in found] == [True, False, True]
        assert "AttributeError" in str(found[1].error)
        assert "bad" not in str(found[1].error)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ('a' * 9999)|replace('a', 'b' * 9999) }}",
        "{{ ('a' * 9999)|replace('', 'b' * 9999) }}",
        "{{ ('a' * 9999).replace('a', 'b' * 9999) }}",
        "{{ range(9999)|join('b' * 9999) }}",
        "{{ ('b' * 9999).join(['a'] * 9999) }}",
        "{{ (['a' * 9999] * 9999)|join }}",
        "{{ ([{'k': 'a' * 9999}] * 99999)|join(attribute='k') }}",
        "{% set a = 'a' * 9999 %}" + "{% set a = a ~ a %}" * 40,
        "{{ [['a' * 9999] * 9999] }}",
        "{{ ([['a'] * 9999] * 9999)|upper }}",
        "{% set a = ['a'] %}" + "{% set a = [a, a] %}" * 60 + "{{ a|string }}",
        "{{ [1]|batch(999999999, 2)|list }}",
        "{{ [1]|slice(999999999)|list }}",
        "{% set a = 10 ** 64 %}" + "{% set a = a * a %}" * 40,
    ],
)
def test_a_few_characters_never_become_many(folder, source) -> None:
    """It is refused before it is made, not when it is too long."""
    made = templates(folder(email__a_txt=source), max_size=100_000)
    with pytest.raises(TemplateError, match="grows over the limit"):
        made.render("email", "a", {}, None)
