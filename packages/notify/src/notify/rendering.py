"""From a notification to the message that a channel sends."""

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
    '{title}</h1><p style="margin:0;line-height:1.5;white-space:pre-line">{message}</p>{action}'
    "</div></body></html>"
)
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
    notification: Notification,
    channel: str,
    recipient: Recipient,
    templates: Templates,
    *,
    key: str,
    locale: str | None = None,
    base_url: str | None = None,
) -> Message:
    """Return the message of a notification over ``channel``.

    Args:
        notification: What is sent.
        channel: Over which channel.
        recipient: To whom.
        templates: Where its template is found, if it names one.
        key: The message's stable key.
        locale: The user's language, if the notification names none.
        base_url: Put before links that are only a path.

    Raises:
        TemplateError: The template is missing or fails, or makes a subject that is none.
    """
    n, link = notification, link_of(notification, base_url)
    subject, text, html = n.title, _text(n, link), _html(n, link)
    if n.template is not None and templates.has(channel, n.template):
        wanted = n.locale or locale or recipient.locale
        made = templates.render(channel, n.template, context_of(n, link), wanted)
        subject = n.title if made.subject is None else made.subject
        if made.text is not None:
            text, html = made.text, made.html or ""
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


def _text(n: Notification, link: str | None) -> str:
    lines = [n.message or n.title]
    if link is not None:
        lines += ["", f"{n.action_label}: {link}" if n.action_label else link]
    return "\n".join(lines) + "\n"


def _html(n: Notification, link: str | None) -> str:
    # a path alone leads nowhere from a mail
    whole = link is not None and link.startswith("http")
    label = escape(n.action_label or "Open")
    action = _BUTTON.format(url=escape(link or ""), label=label) if whole else ""
    return _LAYOUT.format(title=escape(n.title), message=escape(n.message), action=action)
