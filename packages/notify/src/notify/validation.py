"""What a notification may hold; checked before any I/O."""

import math
import re
import unicodedata
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from .errors import InvalidNotification, InvalidPreferences
from .models import Attachment, Notification, NotificationPreferences, NotificationType, Recipient

MAX_ID, MAX_TITLE, MAX_MESSAGE, MAX_URL = 200, 200, 10_000, 2_000
MAX_ADDRESS = 4_000  # a browser's subscription has some hundred characters
MAX_JSON, MAX_FILES, MAX_FILE_BYTES = 65_536, 20, 10 << 20
_MIME = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}")
_LOCALE = re.compile(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,3}")
_TEMPLATE = re.compile(r"[A-Za-z0-9_-]{1,80}(/[A-Za-z0-9_-]{1,80}){0,4}")
_LINE_ENDS = {"\u2028", "\u2029", "\u0085"}
_TYPES = frozenset(map(str, NotificationType))


def check(notification: Notification, channels: Collection[str]) -> None:
    """Refuse a notification with a field that is empty, too long, unsafe or unknown.

    Args:
        notification: What is to be sent.
        channels: The names of channels that anybody knows.

    Raises:
        InvalidNotification: The message names the field, and shows no text of the user.
    """
    if not isinstance(notification, Notification):
        raise InvalidNotification(f"expected a Notification, not {type(notification).__name__}")
    n: Any = notification  # its annotations bind nobody
    _lines(n)
    if not n.title.strip():
        raise InvalidNotification("title is empty")
    _text("message", n.message, MAX_MESSAGE)
    # a member is looked up by calling Python code
    if type(n.type) is not NotificationType and not (isinstance(n.type, str) and n.type in _TYPES):
        shown = repr(n.type)[:60]
        raise InvalidNotification(f"type must be one of {', '.join(NotificationType)}, not {shown}")
    if not isinstance(n.priority, str) or n.priority not in {"normal", "critical"}:
        shown = repr(n.priority)[:60]
        raise InvalidNotification(f"priority must be 'normal' or 'critical', not {shown}")
    _flag("read", n.read)
    _flag("archived", n.archived)
    if n.action_url is not None:
        check_url(n.action_url)
    if n.channels is not None:
        _channels(n.channels, channels)
    if n.locale is not None:
        _named("locale", n.locale, _LOCALE)
    if n.template is not None:
        _named("template", n.template, _TEMPLATE)
    _times(n)
    if n.attachments != ():
        _files(n)


def _lines(n: Any) -> None:
    check_line("id", n.id, MAX_ID)
    check_line("user_id", n.user_id, MAX_ID)
    check_line("title", n.title, MAX_TITLE)
    if n.category is not None:
        check_line("category", n.category, 100)
    if n.action_label is not None:
        check_line("action_label", n.action_label, 100)
    if n.idempotency_key is not None:
        check_line("idempotency_key", n.idempotency_key, MAX_ID)


def _flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise InvalidNotification(f"{name} must be true or false, not {_kind(value)}")


def _named(name: str, value: Any, pattern: re.Pattern[str]) -> None:
    if not (isinstance(value, str) and pattern.fullmatch(value)):
        raise InvalidNotification(f"{name} is not a {name} name: letters, digits, - and _")


def check_line(name: str, value: Any, longest: int) -> None:
    """Refuse what could not stand in one line of a header.

    Raises:
        InvalidNotification: It is no text, is empty or too long, or holds what ends a line.
    """
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise InvalidNotification(
            f"{name} must be a text of 1 to {longest} characters, not {_kind(value)}"
        )
    # what is printable holds none of them: the look at each character is for the others
    if not value.isprintable() and any(map(_ends_line, value)):
        raise InvalidNotification(f"{name} holds a line break or control character")
    if "=?" in value and "?=" in value.partition("=?")[2]:
        # RFC 2047: the standard library would decode it, line breaks and all, into the header
        raise InvalidNotification(f"{name} holds an encoded word (=?…?=)")


def _text(name: str, value: Any, longest: int) -> None:
    if not isinstance(value, str) or len(value) > longest:
        raise InvalidNotification(
            f"{name} must be a text of at most {longest} characters, not {_kind(value)}"
        )
    if "\0" in value or not (value.isascii() or _is_whole(value)):
        raise InvalidNotification(f"{name} holds a NUL or half a surrogate pair")


def _kind(value: Any) -> str:
    """Say what a value is, without its text, which may be a user's."""
    return f"of {len(value)}" if isinstance(value, str) else type(value).__name__


def has_no_number(value: Any) -> bool:
    """Whether a NaN or an infinity, for which JSON has no word, is in dicts, lists and floats."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        parts: dict[Any, Any] = value
        return any(map(has_no_number, parts.values()))
    return isinstance(value, list | tuple) and any(map(has_no_number, value))


def _ends_line(c: str) -> bool:
    return c in _LINE_ENDS or unicodedata.category(c) in {"Cc", "Cs"}


def _is_whole(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_url(url: Any) -> None:
    """Refuse a link that is neither ``http(s)`` nor a path of the application.

    Raises:
        InvalidNotification: It is another scheme, names a host without one, or hides something.
    """
    check_line("action_url", url, MAX_URL)
    if any(c.isspace() or c in '\\<>"' for c in url):
        raise InvalidNotification("action_url holds a space, backslash, quote or angle bracket")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidNotification("action_url is not a URL") from None
    if parts.scheme in {"http", "https"}:
        if not parts.hostname or parts.username is not None:
            raise InvalidNotification("action_url needs a host and no user name")
    elif (
        parts.scheme or parts.netloc or url.startswith("//") or not url.startswith(("/", "?", "#"))
    ):
        raise InvalidNotification("action_url must be http(s)://… or a path that begins with /")


def _channels(given: Any, known: Collection[str]) -> None:
    if not isinstance(given, Collection) or isinstance(given, str) or not given:
        raise InvalidNotification("channels must be a list of at least one channel, or None")
    for each in given:
        if not isinstance(each, str) or each not in known:
            shown = repr(str(each))[:60]
            raise InvalidNotification(f"unknown channel {shown}; known: {', '.join(sorted(known))}")


def _times(n: Notification) -> None:
    _time("timestamp", n.timestamp)
    if n.expires_at is not None:
        _time("expires_at", n.expires_at)
    if n.send_at is not None:
        _time("send_at", n.send_at)
        if n.expires_at is not None and n.expires_at <= n.send_at:
            raise InvalidNotification("expires_at must be later than send_at")


def _time(name: str, value: Any) -> None:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidNotification(f"{name} must be a datetime with a time zone")
    if not 1900 <= value.year <= 9998:
        # near the ends of the calendar no time zone and no float holds them
        raise InvalidNotification(f"{name} must lie between 1900 and 9998, or be left out")


def _files(n: Any) -> None:
    if not isinstance(n.attachments, list | tuple):
        raise InvalidNotification("attachments must be a list of Attachment objects")
    if len(n.attachments) > MAX_FILES:
        raise InvalidNotification(f"attachments are more than {MAX_FILES}")
    for each in n.attachments:
        if not isinstance(each, Attachment) or not isinstance(each.content, bytes):
            raise InvalidNotification("attachments must be Attachment objects with bytes")
        check_line("attachment filename", each.filename, 200)
        if each.filename in {".", ".."} or any(c in each.filename for c in '/\\:"'):
            raise InvalidNotification("attachment filename holds a path")
        kind: Any = each.content_type
        if not isinstance(kind, str) or not _MIME.fullmatch(kind):
            raise InvalidNotification("attachment content_type must be type/subtype")
    if sum(len(each.content) for each in n.attachments) > MAX_FILE_BYTES:
        raise InvalidNotification(f"attachments are over {MAX_FILE_BYTES} bytes")


def check_recipient(recipient: Recipient) -> str | None:
    """Return why ``recipient`` cannot stand in a header, or None."""
    try:
        check_line("address", recipient.address, MAX_ADDRESS)
        if recipient.name is not None:
            check_line("name", recipient.name, 200)
    except InvalidNotification as exc:
        return str(exc)
    return None


def check_preferences(prefs: Any, channels: Collection[str]) -> None:
    """Refuse preferences that name an unknown channel or hold no choices.

    Raises:
        InvalidPreferences: They do, or are no ``NotificationPreferences``.
    """
    if not isinstance(prefs, NotificationPreferences):
        raise InvalidPreferences(f"expected NotificationPreferences, not {type(prefs).__name__}")
    if prefs.channels is not None:
        given: Any = prefs.channels
        if not isinstance(given, Collection) or isinstance(given, str):
            raise InvalidPreferences("channels must be a list of channels")
        _known(prefs.channels, channels)
    muted: Any = prefs.muted
    if not isinstance(muted, Collection) or isinstance(muted, str):
        raise InvalidPreferences("muted must be a list of channels")
    _known(muted, channels)
    _categories(prefs.categories, channels)
    _known(prefs.limits, channels)
    for name in prefs.digests:
        _category(name)
    if prefs.locale is not None and not _LOCALE.fullmatch(str(prefs.locale)):
        raise InvalidPreferences("locale must be like 'de' or 'de-AT'")


def _categories(given: Any, channels: Collection[str]) -> None:
    if not isinstance(given, Mapping) or len(given) > 500:
        raise InvalidPreferences("categories must be a mapping of at most 500")
    choices: Mapping[Any, Any] = given
    for name, choice in choices.items():
        _category(name)
        by_channel: Mapping[Any, Any] = choice if isinstance(choice, Mapping) else {}
        _known(by_channel, channels)
        wanted = by_channel.values() if isinstance(choice, Mapping) else [choice]
        if not all(isinstance(each, bool) for each in wanted):
            raise InvalidPreferences("a category is true, false, or such by channel")


def _category(name: Any) -> None:
    try:
        check_line("a category", name, 100)  # as a notification's
    except InvalidNotification as exc:
        raise InvalidPreferences(str(exc)) from None


def _known(given: Any, channels: Collection[str]) -> None:
    for each in given:
        if not isinstance(each, str) or each not in channels:
            shown = repr(str(each))[:60]
            raise InvalidPreferences(
                f"unknown channel {shown}; known: {', '.join(sorted(channels))}"
            )
