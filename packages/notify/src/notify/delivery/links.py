"""Links of one-click unsubscription (RFC 8058): whose, signed, for as long as mails are kept."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

import msgspec

from ..settings import UnsubscribeSettings

_LASTS = 400 * 86_400
_LONGEST = 950
_DOMAIN = b"notify.unsubscribe.1\0"


@dataclass(frozen=True, slots=True)
class Wish:
    """Whom a link unsubscribes from what.

    Attributes:
        user_id: Whom.
        channel: Over which channel.
        category: From which category; None from the channel itself.
    """

    user_id: str
    channel: str
    category: str | None


class Links:
    """Makes and reads the links; without keys there are none."""

    def __init__(self, settings: UnsubscribeSettings) -> None:
        """Sign with the first key, accept all."""
        self._url, self._channels = settings.url, frozenset(settings.channels)
        self._keys = [each.encode() for each in settings.signing_keys]

    def link(self, wish: Wish, now: float) -> str | None:
        """Return the link of a message; None where its channel has none."""
        if self._url is None or wish.channel not in self._channels:
            return None
        made = f"{self._url.rstrip('/')}/{self.token(wish, now)}"
        # a line of a mail holds no more; only ids of some hundred letters make it that long
        return made if len(made) <= _LONGEST else None

    def token(self, wish: Wish, now: float) -> str:
        """Return what stands for ``wish`` for 400 days from ``now``."""
        ends = int(now) + _LASTS
        data = msgspec.json.encode([wish.user_id, wish.channel, wish.category, ends])
        return f"{_text(data)}.{_text(_signature(self._keys[0], data))}"

    def read(self, token: str, now: float) -> Wish | None:
        """Return what a token stands for; None if it is not ours, was changed, or has ended."""
        text: Any = token  # annotations bind nobody
        given, _, signature = text.partition(".") if isinstance(text, str) else ("", "", "")
        data, made = _bytes(given), _bytes(signature)
        if data is None or made is None:
            return None
        # all keys are tried, so that the time says nothing of which one fits
        good = [hmac.compare_digest(_signature(key, data), made) for key in self._keys]
        if not any(good):
            return None
        user_id, channel, category, ends = msgspec.json.decode(
            data, type=tuple[str, str, str | None, int]
        )
        return Wish(user_id, channel, category) if now < ends else None


def _signature(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, _DOMAIN + data, hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes | None:
    if len(text) > 2000:
        return None
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    # one way to write each token: no second text stands for the same bytes
    return data if _text(data) == text else None
