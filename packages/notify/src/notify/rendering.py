"""From a notification to the message that a channel sends."""

from collections.abc import Sequence
from html import escape
from urllib.parse import urljoin

from .errors import TemplateError
from .models import Notification, Recipient
from .ports import (
    Message,
)
from .templates import Templates
from .validation import MAX_TITLE

_LAYOUT = (
    '<!doctype html><html><body style="margin:0;padding:24px;background:#f4f5f7;'
    'font-family:system-ui,sans-serif;color:#1f2430"><div style="max-width:560px;margin:0 auto;'
    'padding:24px;background:#fff;border-radius:8px"><h1 style="margin:0 0 12px;font-size:20px">'
    "{title}</h1>{message}{action}"
    "</div>{foot}</body></html>"
)
_FOOT = (
    '<p style="max-width:560px;margin:16px auto;text-align:center;font-size:12px;color:#5c6370">'
    '<a href="{url}" style="color:inherit">Unsubscribe</a></p>'
)
_ITEM = '<p style="margin:0 0 16px;line-height:1.5"><strong>{title}</strong><br>{message}{link}</p>'
_BUTTON = (
    '<p style="margin:24px 0 0"><a href="{url}" style="display:inline-block;padding:10px 18px;'
    'background:#2257c5;color:#fff;border-radius:6px;text-decoration:none">{label}</a></p>'
)


def link_of(notification: Notification, base_url: str | None) -> str | None:
    """Return the action's link; a path becomes a whole URL where a base is known."""
    url = notification.action_url
    if url is None or base_url is None:
        return url
    return urljoin(f"{base_url.rstrip('/')}/", url.lstrip("/") if url.startswith("/") else url)


def render(
    notes: Sequence[Notification],
    channel: str,
    recipient: Recipient,
    templates: Templates,
    *,
    key: str,
    locale: str | None = None,
    base_url: str | None = None,
    unsubscribe_url: str | None = None,
) -> Message:
    """Return the message of a notification over ``channel``.

    Args:
        notes: The notification, alone.
        channel: Over which channel.
        recipient: To whom.
        templates: Where its template is found, if it names one.
        key: The message's stable key.
        locale: The user's language, if the notification names none.
        base_url: Put before links that are only a path.
        unsubscribe_url: Where one click ends the category; shown at the foot of mails.

    Raises:
        TemplateError: The template is missing or fails, or makes a subject that is none.
    """
    [n] = notes
    link, foot = link_of(n, base_url), unsubscribe_url
    subject, text, html = n.title, _text(n, link, foot), _html(n, link, foot)
    if n.template is not None and templates.has(channel, n.template):
        wanted = n.locale or locale or recipient.locale
        context = {"unsubscribe_url": foot, **context_of(n, link)}
        made = templates.render(channel, n.template, context, wanted)
        subject = n.title if made.subject is None else made.subject
        if made.text is not None:
            text, html = made.text, made.html or ""
    return _message(n, key, recipient, subject, text, html, link, foot)


def render_digest(
    notes: Sequence[Notification],
    channel: str,
    recipient: Recipient,
    templates: Templates,
    *,
    key: str,
    locale: str | None = None,
    base_url: str | None = None,
    unsubscribe_url: str | None = None,
) -> Message:
    """Return one message of several notifications, oldest first: by the template ``digest``.

    Arguments and errors are those of :func:`render`. Without such a template it lists titles,
    messages and links.
    """
    newest, count = notes[-1], len(notes)
    subject = f"{count} new notifications"
    if newest.category is not None:
        subject = f"{count} new: {newest.category}"[:MAX_TITLE]
    links = [link_of(each, base_url) for each in notes]
    pairs, foot = list(zip(notes, links, strict=True)), unsubscribe_url
    lines = [line for n, link in pairs for line in _lines(n, link)]
    text = "\n".join(lines) + _tail(foot)
    html = _LAYOUT.format(
        title=escape(subject), message="".join(_item(n, link) for n, link in pairs), action="",
        foot="" if foot is None else _FOOT.format(url=escape(foot)),
    )  # fmt: skip
    if templates.has(channel, "digest"):
        context: dict[str, object] = {
            "items": [context_of(n, link) for n, link in pairs], "count": count,
            "category": newest.category, "unsubscribe_url": foot,
        }  # fmt: skip
        made = templates.render(channel, "digest", context, locale or recipient.locale)
        subject = made.subject or subject
        if made.text is not None:
            text, html = made.text, made.html or ""
    return _message(newest, key, recipient, subject, text, html, None, foot)


def _message(
    n: Notification,
    key: str,
    recipient: Recipient,
    subject: str,
    text: str,
    html: str,
    link: str | None,
    unsubscribe_url: str | None,
) -> Message:
    if not 0 < len(subject) <= MAX_TITLE or not subject.isprintable():
        raise TemplateError(
            f"template {n.template!r} makes no subject of 1 to {MAX_TITLE} characters"
        )
    return Message(
        key=key,
        recipient=recipient,
        subject=subject,
        text=text,
        html=html or None,
        action_url=link,
        action_label=n.action_label,
        metadata=n.metadata,
        type=str(n.type),
        category=n.category,
        critical=n.priority == "critical",
        created_at=n.timestamp.timestamp(),
        attachments=tuple(n.attachments),
        notification_id=n.id,
        expires_at=None if n.expires_at is None else n.expires_at.timestamp(),
        unsubscribe_url=unsubscribe_url,
    )


def context_of(notification: Notification, link: str | None) -> dict[str, object]:
    """Return the variables of a template: the context, before the notification's own fields."""
    n = notification
    own: dict[str, object] = {
        "title": n.title,
        "message": n.message,
        "type": str(n.type),
        "category": n.category,
        "action_url": link,
        "action_label": n.action_label,
        "metadata": dict(n.metadata),
    }
    return {**own, **n.context}


def _tail(unsubscribe_url: str | None) -> str:
    return "" if unsubscribe_url is None else f"\n-- \nUnsubscribe: {unsubscribe_url}\n"


def _text(n: Notification, link: str | None, unsubscribe_url: str | None) -> str:
    lines = [n.message or n.title]
    if link is not None:
        lines += ["", f"{n.action_label}: {link}" if n.action_label else link]
    return "\n".join(lines) + "\n" + _tail(unsubscribe_url)


def _lines(n: Notification, link: str | None) -> list[str]:
    parts = [f"* {n.title}", *(f"  {line}" for line in n.message.splitlines())]
    return [*parts, *([f"  {link}"] if link is not None else []), ""]


def _item(n: Notification, link: str | None) -> str:
    whole = link is not None and link.startswith("http")
    label = escape(n.action_label or "Open")
    shown = f'<br><a href="{escape(link or "")}">{label}</a>' if whole else ""
    return _ITEM.format(title=escape(n.title), message=escape(n.message), link=shown)


def _html(n: Notification, link: str | None, unsubscribe_url: str | None) -> str:
    # a path alone leads nowhere from a mail
    whole = link is not None and link.startswith("http")
    label = escape(n.action_label or "Open")
    action = _BUTTON.format(url=escape(link or ""), label=label) if whole else ""
    foot = "" if unsubscribe_url is None else _FOOT.format(url=escape(unsubscribe_url))
    body = f'<p style="margin:0;line-height:1.5;white-space:pre-line">{escape(n.message)}</p>'
    return _LAYOUT.format(title=escape(n.title), message=body, action=action, foot=foot)
