"""The form of reports, whoever sends them."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

Kind = Literal["delivered", "failed", "bounced", "complained", "opted_out", "opted_in"]
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,40}")


class Refused(Exception):
    """A request that no provider sent, or one that says nothing; it is answered by 403."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request of a provider.

    Attributes:
        headers: Names in lower case.
        body: As it came.
        path: After the web app's own place, with its query.
    """

    headers: Mapping[str, str]
    body: bytes
    path: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a message, or what its receiver said.

    Attributes:
        kind: ``delivered`` to the mailbox or telephone; ``failed`` for now or this message alone;
            ``bounced``, the address is no good; ``complained``; ``opted_out`` and ``opted_in``.
        provider: Who says so.
        channel: Over which channel it went.
        provider_id: The provider's id of the message, if it is about one.
        address: Whose, if it says.
        code: The provider's code, without personal data.
    """

    kind: Kind
    provider: str
    channel: str
    provider_id: str | None = None
    address: str | None = field(default=None, repr=False)
    code: str = ""


class Reporter(ABC):
    """Reads the reports of one provider."""

    @abstractmethod
    async def read(self, request: Incoming, now: float) -> Sequence[Report]:
        """Return what a request reports.

        Args:
            request: What came.
            now: Seconds since the epoch; older reports are refused.

        Raises:
            Refused: It is not signed by the provider, is too old, or cannot be read.
        """

    def recorded(self, request: Incoming) -> None:
        """Remember that what a request reports is stored.

        Until then the provider may send it again: it was told that it was not taken.
        """


def code_of(*given: Any) -> str:
    """Return the first that is a code and no prose; prose may quote addresses."""
    for each in given:
        text = str(each) if isinstance(each, str | int) else ""
        if _CODE.fullmatch(text):
            return text
    return ""


def json_of(body: bytes, kind: Any) -> Any:
    """Return the JSON of a body.

    Raises:
        Refused: It is none of that kind.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Refused("not the JSON of a report") from None


def check_age(at: float, now: float, max_age: float) -> None:
    """Refuse what is too old, or of a time to come.

    Raises:
        Refused: It is.
    """
    if not now - max_age <= at <= now + 300:
        raise Refused("too old")
