"""What all HTTP providers share: a kept client, time limits, and what answers mean."""

import inspect
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import msgspec

from ..._common.clock import Clock, SystemClock
from ..._common.extras import require
from ..._common.urls import redact
from ...errors import ChannelError, ConfigurationError
from ...ports import Channel
from ...settings import ChannelSettings
from .clients import Clients, read_some

_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,60}")
_SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)
_PAGES = (b"<!doctype html", b"<html")
_LATER = frozenset({408, 425, 429})
_ACCOUNT = {
    401: "credentials refused", 402: "the account must be paid for", 403: "credentials refused",
}  # fmt: skip
_LONGEST_WAIT = 86_400.0
# arguments that have keys of their own in the settings, or none
_NO_OPTIONS = frozenset({
    "self", "name", "provider", "base_url", "api_key", "from_address", "credentials_path", "clock",
    "entropy",
})  # fmt: skip
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Reply(msgspec.Struct, frozen=True):
    """What a provider answered.

    Attributes:
        status: The HTTP status.
        headers: Names in lower case.
        content: The body.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> dict[str, Any]:
        """Return the body as an object; an empty one if it is none."""
        try:
            found = msgspec.json.decode(self.content)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def is_page(self) -> bool:
        """Whether it is a web page: of a proxy, most likely, or of another server."""
        # by what it holds: some servers call everything text/html
        return self.content[:200].lstrip().lower().startswith(_PAGES)


class HTTPChannel(Channel):
    """A provider behind an HTTP API.

    Answers are read by status: 408, 425, 429 and 5xx may be tried again, after ``Retry-After`` if
    it is given; 401, 402 and 403 wait for the operator; the rest is refused for good. A web page in
    place of an answer is nobody's word that the message was taken.
    Subclasses tell which refusals mean the address. Redirects are never followed: they would carry
    secrets to another host.
    """

    base: ClassVar[str] = ""
    required: ClassVar[tuple[str, ...]] = ()
    """Keys of the settings without which the provider does nothing."""
    takes_by_page: ClassVar[bool] = False
    """Whether a success may be told by a web page: receivers answer what they like."""

    def __init__(
        self,
        name: str,
        provider: str,
        *,
        base_url: str | None = None,
        timeout: float = 20.0,
        clock: Clock | None = None,
    ) -> None:
        """Describe the provider; the first message connects.

        Args:
            name: The notification channel that it serves.
            provider: What it is called in deliveries.
            base_url: Where its API is; the provider's own place if None.
            timeout: Seconds for connecting, and for each answer.
            clock: Of signatures, tokens and waits.

        Raises:
            ConfigurationError: ``base_url`` is no http(s) address, or ``timeout`` out of range.
        """
        super().__init__(name, provider)
        url = (base_url or self.base).rstrip("/")
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(f"{provider}: base_url must be https://…, not {redact(url)!r}")
        given: Any = timeout  # annotations bind nobody
        if not isinstance(given, int | float) or not 0 < given <= 600:
            raise ConfigurationError(
                f"{provider}: timeout is over 0, up to 600 seconds, not {given!r}"
            )
        self.base_url, self._timeout = url, timeout
        self._clock = clock or SystemClock()
        self._clients = Clients(timeout)

    @classmethod
    def from_settings(cls, section: ChannelSettings, name: str) -> Self:
        """Return the channel of a section of the settings; see the provider's page for its keys.

        Raises:
            ConfigurationError: A key is missing or unknown.
        """
        given: dict[str, Any] = {"base_url": section.url, "name": name, **section.options}
        for key in ("api_key", "from_address", "credentials_path"):
            if (value := getattr(section, key)) is not None:
                given[key] = value
        for key in cls.required:
            if given.get(key) is None:
                where = key if key in section.__struct_fields__ else f"options.{key}"
                raise ConfigurationError(
                    f"{name} provider {section.provider!r} needs the key {name}.{where}"
                )
        known = sorted(cls._option_names())
        if unknown := sorted(section.options.keys() - set(known)):
            raise ConfigurationError(
                f"{name} provider {section.provider!r} has no option {unknown[0]!r}; "
                f"there are: {', '.join(known)}"
            )
        try:
            return cls(**given)
        except TypeError as exc:
            # the constructor's own words name the argument
            raise ConfigurationError(f"{name} provider {section.provider!r}: {exc}") from None

    @classmethod
    def _option_names(cls) -> set[str]:
        made = [vars(each).get("__init__") for each in cls.__mro__]
        named = {
            name
            for each in made
            if each is not None
            for name, one in inspect.signature(each).parameters.items()
            if one.kind in _NAMED
        }
        return named - _NO_OPTIONS

    async def _ask(
        self, path: str, *, method: str = "POST", name: str = "", auth: Any = None, **request: Any
    ) -> Reply:
        """Ask the provider and return what it answered, whatever that is.

        Args:
            path: After ``base_url``; a whole URL is taken as it is.
            method: The HTTP method.
            name: Against which the certificate is checked, where it is not the URL's host.
            auth: User and password.
            request: As httpx's: ``json``, ``data``, ``files``, ``headers``, ``content``.

        Raises:
            ChannelError: There was no answer.
        """
        httpx = require("httpx", dist="notify", extra="http")
        url = path if "://" in path else f"{self.base_url}{path}"
        if "json" in request:
            request["content"] = msgspec.json.encode(request.pop("json"))
            request["headers"] = {"Content-Type": "application/json", **request["headers"]}
        try:
            async with self._clients.client(name) as client:
                asked = client.build_request(method, url, **request)
                found = await client.send(asked, auth=auth, stream=True)
                try:
                    content = await read_some(found)
                finally:
                    await found.aclose()
        except httpx.TransportError as exc:
            what = "no answer in time" if isinstance(exc, httpx.TimeoutException) else ""
            text = f"{self.provider}: {what or type(exc).__name__}"
            # `from None`: the library's error carries the request, with all that is in it
            raise ChannelError(text, retryable=True) from None
        except (httpx.InvalidURL, UnicodeError, ValueError):
            raise ChannelError(f"{self.provider}: this cannot be sent") from None
        return Reply(found.status_code, found.headers, content)

    async def _taken(self, path: str, **request: Any) -> Reply:
        """Ask the provider; return its answer if it took the message.

        Raises:
            ChannelError: It did not.
        """
        reply = await self._ask(path, **request)
        self._check(reply)
        return reply

    def _check(self, reply: Reply) -> None:
        """Refuse every answer but that the message was taken.

        Raises:
            ChannelError: It was not, or nobody knows.
        """
        if reply.status >= 300:
            raise self.refusal(reply)
        if reply.is_page and not self.takes_by_page:
            raise self.no_answer(reply)

    def no_answer(self, reply: Reply) -> ChannelError:
        """Return what an answer means that the provider would not give: it is asked again."""
        text = f"{self.provider} {reply.status}: not an answer of its API"
        return ChannelError(text, retryable=True)

    def refusal(self, reply: Reply) -> ChannelError:
        """Return what an answer means that is not a success."""
        code = self.code_of(reply)
        shown = f" {code}" if code and _CODE.fullmatch(code) else ""
        text = f"{self.provider} {reply.status}{shown}"
        if reply.status in _LATER or reply.status >= 500 or self.passes(reply, code):
            wait = self._wait_of(reply)
            return ChannelError(text, retryable=True, retry_after=wait)
        if self.names_recipient(reply, code):
            return ChannelError(text, invalid_recipient=True)
        if reply.status in _ACCOUNT:
            # the operator's to mend, not the message's fault: it waits for the right key
            return ChannelError(f"{text}: {_ACCOUNT[reply.status]}", retryable=True)
        return ChannelError(text)

    def code_of(self, reply: Reply) -> str:
        """Return the provider's own code; shown where it is no more than a code."""
        return ""

    def names_recipient(self, reply: Reply, code: str) -> bool:
        """Whether the refusal is of the address, for good."""
        return False

    def passes(self, reply: Reply, code: str) -> bool:
        """Whether a refusal below 500 passes by itself."""
        return False

    def _wait_of(self, reply: Reply) -> float | None:
        text = reply.headers.get("retry-after", "").strip()
        if _SECONDS.fullmatch(text):
            return min(float(text), _LONGEST_WAIT)
        try:
            at = parsedate_to_datetime(text)
            # one without a zone is of GMT: RFC 9110, section 5.6.7
            seconds = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
        return min(max(0.0, seconds - self._clock.time()), _LONGEST_WAIT)

    async def aclose(self) -> None:
        await self._clients.aclose()

    def detach(self) -> None:
        self._clients.detach()


def needed(provider: str, **given: Any) -> None:
    """Refuse what is no text: the value of a variable that is not set, most likely.

    Raises:
        ConfigurationError: One is none, or is empty; only its type is shown, as it may be a secret.
    """
    for name, value in given.items():
        if not isinstance(value, str) or not value.strip():
            shown = "an empty one" if isinstance(value, str) else type(value).__name__
            raise ConfigurationError(f"{provider}: {name} must be a text, not {shown}")
