"""Documents from the text files of a folder, or from a file of JSON lines."""

import codecs
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError, InvalidDocument
from ..indexing import check_id, readable
from ..models import SearchDocument
from .html_text import text_of_html

SOURCE = "_source"
"""The metadata that say which folder a document came from; a page does not show such a name."""
_SUFFIXES = {".txt", ".md", ".rst", ".srt", ".vtt", ".html", ".htm", ".csv", ".json", ".py"}
_MAX_FILE = 10_000_000
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = bytes([*range(9), *range(14, 27), *range(28, 32)])
_LONGEST_TITLE = 300
_SHOWN = 3
_ENDINGS = 8


@dataclass(slots=True)
class Read:
    """What was read.

    Attributes:
        documents: In the order of their names.
        left_out: Names of files that could be documents and are none, by reason.
        others: How many files have names that end otherwise, by that ending.
        source: What tells documents of this folder from others; nothing for a file.
        present: Ids of the files that are there, whether they could be read or not.
        closed: Folders that could not be read.
    """

    documents: list[SearchDocument] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    source: str = ""
    present: set[str] = field(default_factory=set)
    closed: list[str] = field(default_factory=list)

    def leave(self, reason: str, name: str) -> None:
        """Note a file that is left out."""
        self.left_out.setdefault(reason, []).append(name)

    def report(self) -> list[str]:
        """Return a line for each reason, with some of the names."""
        lines = []
        if not (self.documents or self.left_out or self.others):
            kinds = " ".join(sorted(_SUFFIXES))
            lines.append(f"nothing to index is there: files that end in {kinds}")
        for reason, names in self.left_out.items():
            shown = ", ".join(f"{name!r}" for name in names[:_SHOWN])
            more = ", …" if len(names) > _SHOWN else ""
            lines.append(f"{len(names)} left out, {reason}: {shown}{more}")
        if self.others:
            frequent = ", ".join(
                ending or "none" for ending, _ in self.others.most_common(_ENDINGS)
            )
            more = ", …" if len(self.others) > _ENDINGS else ""
            lines.append(f"{self.others.total()} not looked at, by their endings: {frequent}{more}")
        if ".jsonl" in self.others:
            lines.append("a .jsonl holds many documents and is indexed by itself: name the file")
        return lines


def documents_of(path: Path) -> Read:
    """Return what can be indexed below ``path``, and what cannot.

    Raises:
        ConfigurationError: It is not there, or a line is no document.
    """
    if not path.exists():
        raise ConfigurationError(f"there is no {str(path)!r}")
    if path.is_file() and path.suffix.lower() == ".jsonl":
        return _rows(path)
    read = Read()
    if path.is_file():
        _take(read, path.name, path)
        return read
    read.source = _source(path)
    for name, file in _files(path, read):
        read.present.add(name)
        _take(read, name, file)
    return read


def _source(folder: Path) -> str:
    """Return a name for a folder, another one for each place, that does not tell the path."""
    whole = folder.resolve()
    return f"{readable(whole.name)}@{hashlib.sha256(os.fsencode(whole)).hexdigest()[:12]}"


def _files(folder: Path, read: Read) -> Iterator[tuple[str, Path]]:
    """Yield the files below a folder with their names in it; hidden ones and links are not seen.

    What has another ending is counted, and folders that cannot be read are noted.
    """

    def closed(exc: OSError) -> None:
        name = readable(os.path.relpath(exc.filename, folder))
        read.closed.append(name)
        read.leave(f"not readable ({exc.strerror})", name)

    found = []
    for here, folders, files in os.walk(folder, onerror=closed):
        folders[:] = [each for each in folders if not each.startswith(".")]
        found += [Path(here) / each for each in files if not each.startswith(".")]
    for file in sorted(found):
        if file.is_symlink() or not file.is_file():
            continue
        if (ending := file.suffix.lower()) in _SUFFIXES:
            yield file.relative_to(folder).as_posix(), file
        else:
            read.others[ascii(ending)[1:-1]] += 1


def _take(read: Read, name: str, file: Path) -> None:
    try:
        check_id(name)
    except InvalidDocument:
        read.leave("their names are no ids", name)
        return
    try:
        if file.stat().st_size > _MAX_FILE:
            read.leave(f"over {_MAX_FILE // 1_000_000} MB", name)
            return
        text = text_of(file.read_bytes())
    except OSError as exc:
        read.leave(f"not readable ({exc.strerror})", name)
        return
    if text is None:
        read.leave("not text", name)
        return
    metadata = {"folder": Path(name).parent.as_posix(), "type": file.suffix.lstrip(".").lower()}
    metadata |= {SOURCE: read.source} if read.source else {}
    if metadata["type"] in {"html", "htm"}:
        text, title = text_of_html(text)
        metadata |= {"title": title} if title else {}
    elif metadata["type"] == "md" and (title := _heading(text)):
        metadata["title"] = title
    read.documents.append(SearchDocument(name, text, metadata))


def _heading(text: str) -> str:
    """Return the heading that Markdown begins with, or nothing."""
    line = text.lstrip().partition("\n")[0].rstrip()
    if not line.startswith(("# ", "#\t")) or len(line) > _LONGEST_TITLE:
        return ""
    return re.sub(r"\s+#+$", "", line[1:]).strip()


def text_of(raw: bytes) -> str | None:
    """Return the text in a file: UTF-8, UTF-16 with its mark, else Windows-1252; None if none."""
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw.decode(encoding, "replace")
    controls = len(raw) - len(raw.translate(None, _CONTROLS))
    if controls * 100 > len(raw):
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def _rows(file: Path) -> Read:
    """Return the documents of a file of JSON lines; of several with one id the last."""
    read, found = Read(), dict[str, SearchDocument]()
    for document in _lines(file):
        if document.id in found:
            read.leave("their ids come again further down", document.id)
        found[document.id] = document
    read.documents = list(found.values())
    return read


def _lines(file: Path) -> Iterator[SearchDocument]:
    whole = file.read_bytes()
    if whole.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # as PowerShell writes it
        whole = whole.decode("utf-16", "replace").encode()
    for number, raw in enumerate(whole.splitlines(), start=1):
        if not raw.strip():
            continue
        try:
            yield _row(json.loads(raw.decode("utf-8-sig")))
        except (ValueError, TypeError, RecursionError) as exc:
            raise ConfigurationError(
                f"line {number} of {str(file)!r} is no document: {exc}"
            ) from exc


def _row(found: Any) -> SearchDocument:
    if not isinstance(found, dict) or not found.keys() >= {"id", "content"}:
        raise ValueError('it must be {"id": …, "content": "…"}, perhaps with "metadata": {…}')
    id, content, metadata = found["id"], found["content"], found.get("metadata")
    if isinstance(id, bool) or not isinstance(id, str | int | float):
        raise TypeError(f'its "id" must be a text or a number, not {json.dumps(id)[:60]}')
    if not isinstance(content, str):
        raise TypeError(f'its "content" must be a text, not {json.dumps(content)[:60]}')
    if not isinstance(metadata, dict | None):
        raise TypeError(f'its "metadata" must be an object, not {json.dumps(metadata)[:60]}')
    return SearchDocument(check_id(str(id)), content, metadata)
