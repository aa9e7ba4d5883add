"""File names: what may name a download, what may be a key, how a header carries it."""

import re
import unicodedata
from collections.abc import Container
from urllib.parse import quote

from .errors import InvalidSource, StorageError

MAX_BYTES = 200
# besides what Windows refuses: controls, surrogates and characters that turn text around
_FORBIDDEN = re.compile(
    '[\x00-\x1f\x7f-\x9f<>:"/\\\\|?*\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]'
)
_DEVICE = re.compile(r"(?i)(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(?:\.|$)")


def check_filename(name: str, what: str = "filename") -> str:
    """Return ``name`` (NFC) if every file system can carry it.

    Raises:
        InvalidSource: It is empty, a path, over 200 bytes, a Windows device, ends in a dot or
            space, or holds control, direction or reserved characters.
    """
    problem = _problem(name)
    if problem:
        raise InvalidSource(f"{what} {str(name)[:80]!r} {problem}")
    return unicodedata.normalize("NFC", name)


def _problem(name: object) -> str:
    if not isinstance(name, str):
        return "is not text"
    if not name.strip():
        return "is empty"
    if found := _FORBIDDEN.search(name):
        return f"holds the character {found[0]!r}"
    if name.startswith((".", " ")) or name.endswith((".", " ")):
        return "begins or ends with a dot or space"
    if _DEVICE.match(name):
        return "is a device of Windows"
    # NFC may lengthen a text in UTF-8 only by a little; both forms must fit
    longest = max(len(name.encode()), len(unicodedata.normalize("NFC", name).encode()))
    return f"is over {MAX_BYTES} bytes" if longest > MAX_BYTES else ""


def with_extension(name: str, extension: str) -> str:
    """Return ``name`` ending in ``.extension``, once."""
    ending = f".{extension}"
    return name if name.lower().endswith(ending.lower()) else f"{name}{ending}"


def made_filename(*parts: str) -> str:
    """Return a file name made of any text, for names that nobody chose."""
    text = unicodedata.normalize("NFC", "_".join(part for part in parts if part))
    text = _FORBIDDEN.sub("_", text).strip(". ") or "export"
    if _DEVICE.match(text):
        text = f"_{text}"
    while len(text.encode()) > MAX_BYTES - 20:
        text = text[: max(1, len(text) - 1 - (len(text.encode()) - (MAX_BYTES - 20)) // 4)]
    return text.strip(". ") or "export"


def unique(name: str, taken: Container[str]) -> str:
    """Return ``name``, with a number before its extension if ``taken`` has it (any case)."""
    stem, dot, extension = name.rpartition(".")
    if not dot:
        stem, extension = name, ""
    number, candidate = 1, name
    while candidate.casefold() in taken:
        number += 1
        candidate = f"{stem} ({number}){dot}{extension}"
    return candidate


def check_key(key: str) -> tuple[str, ...]:
    """Return the parts of a storage key.

    Raises:
        StorageError: A part is not a plain file name: the key could lead out of the storage.
    """
    parts = tuple(str(key).split("/"))
    if not parts or len(parts) > 8 or any(_problem(part) for part in parts):
        raise StorageError(f"not a key of this storage: {str(key)[:80]!r}")
    return parts


def content_disposition(name: str) -> str:
    """Return the value of a Content-Disposition header that downloads as ``name`` (RFC 6266)."""
    safe = _FORBIDDEN.sub("_", name)
    folded = unicodedata.normalize("NFKD", safe).encode("ascii", "ignore").decode().strip()
    plain = re.sub(r"[^A-Za-z0-9 ._()\-]", "_", folded) or "download"
    if plain == name:
        return f'attachment; filename="{plain}"'
    encoded = quote(safe, safe="", encoding="utf-8", errors="replace")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
