"""Headers of mails without what the standard library does for each of them.

It makes a class for every header that is set, parses the value, and lays it out by the parts that
it found: most of the time that a mail takes. Nearly all headers are one short line of ASCII that
stands in the mail as it was given, or the same in every mail. Those take a short way to the same
bytes; all others go the library's.
"""

import functools
import re
from email.headerregistry import Address, HeaderRegistry
from email.policy import SMTP, EmailPolicy
from typing import Any, Self

_SHORT = 70  # the library folds at 78; what comes near is left to it
# without `=`, which begins encoded words, and with no white space that folding treats by rules
_PLAIN = re.compile(r"[\x21-\x3c\x3e-\x7e]+(?: [\x21-\x3c\x3e-\x7e]+)*")
_DATE = re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}")
_WORD = r"[A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*"
_ID = re.compile(rf"<{_WORD}@{_WORD}>")
_LINES = {"subject": _PLAIN, "date": _DATE, "message-id": _ID}
_ATOM = r"[A-Za-z0-9!#$%&'*+/^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_MAILBOX = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})+")
_NAME = re.compile(r"[A-Za-z0-9]+(?: [A-Za-z0-9]+)*")
_ALIKE = frozenset({
    "from", "auto-submitted", "importance", "mime-version", "content-type",
    "content-transfer-encoding", "list-unsubscribe-post",
})  # fmt: skip


class Line(str):
    """A header that is written as it is given, on one line."""

    __slots__ = ("name",)
    max_count = 1
    name: str

    def __new__(cls, name: str, value: str) -> Self:
        """Take the value as it is."""
        made = super().__new__(cls, value)
        made.name = name
        return made

    def __getnewargs__(self) -> Any:
        """Return what a copy is made of: the library copies mails that it writes in 7 bits."""
        return self.name, str(self)

    def fold(self, *, policy: EmailPolicy) -> str:
        """Write it on one line; RFC 5322, section 2.1.1, allows 998 characters."""
        return f"{self.name}: {self}{policy.linesep}"


class _Kept:
    """A header that many mails share: how it is laid out is found out once."""

    def fold(self, *, policy: EmailPolicy) -> str:
        """Write it as the library does."""
        known: dict[object, str] = self.__dict__.setdefault("_folded", {})
        how = (policy.utf8, policy.linesep, policy.max_line_length)
        if (found := known.get(how)) is None:
            header: Any = super()
            found = known[how] = header.fold(policy=policy)
        return found


class _Headers(HeaderRegistry):
    """The library's headers, each class made once, and the short ways beside them."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """Return the class of a header."""
        key = name.lower()
        if (known := self._made.get(key)) is None:
            known = super().__getitem__(name)
            if key == "list-unsubscribe":
                known = Line  # one long word, which the library would break up by encoding it
            elif key in _ALIKE:
                known = type(known.__name__, (_Kept, *known.__bases__), {})
            self._made[key] = known
        return known

    def __call__(self, name: str, value: Any) -> Any:
        """Return a header; ``value`` is as for the library's."""
        key = name.lower()
        if key in _ALIKE and "boundary" not in (text := str(value)):
            return _alike(name, text)
        pattern = _LINES.get(key)
        short = isinstance(value, str) and len(value) < _SHORT - len(name)
        if pattern is not None and short and pattern.fullmatch(value):
            return Line(name, value)
        return self[name](name, value)


_headers = _Headers()
POLICY = SMTP.clone(header_factory=_headers)


@functools.lru_cache(512)
def _alike(name: str, value: str) -> Any:
    return _headers[name](name, value)


def is_plain(address: str) -> bool:
    """Whether an address is one that no parser has to look at."""
    return _MAILBOX.fullmatch(address) is not None


def receiver(to: Address) -> Line | Address:
    """Return the header ``To``, or the address where its layout is the library's matter."""
    name, address = to.display_name, f"{to.username}@{to.domain}"
    if len(name) + len(address) > _SHORT or not is_plain(address):
        return to
    if not name:
        return Line("To", address)
    return Line("To", f"{name} <{address}>") if _NAME.fullmatch(name) else to
