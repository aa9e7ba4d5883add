"""Documents from the text files of a folder, or from a file of JSON lines."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from ..errors import ConfigurationError, InvalidDocument
from ..indexing import check_id
from ..models import SearchDocument

_SUFFIXES = {".txt", ".md", ".rst", ".srt", ".vtt", ".html", ".csv", ".json", ".py"}
_MAX_FILE = 10_000_000


def documents_of(path: Path) -> list[SearchDocument]:
    """Return what can be indexed below ``path``; what is left out is said.

    Raises:
        ConfigurationError: It is not there, or a line is no document.
    """
    if not path.exists():
        raise ConfigurationError(f"there is no {str(path)!r}")
    return list(_lines(path) if path.suffix == ".jsonl" else _files(path))


def _files(folder: Path) -> Iterator[SearchDocument]:
    for file in [folder] if folder.is_file() else sorted(folder.rglob("*")):
        if file.suffix.lower() in _SUFFIXES and file.is_file() and not file.is_symlink():
            if file.stat().st_size > _MAX_FILE:
                print(f"left out, over {_MAX_FILE} bytes: {file}", file=sys.stderr)
                continue
            name = file.name if folder.is_file() else file.relative_to(folder).as_posix()
            metadata = {"folder": Path(name).parent.as_posix(), "type": file.suffix.lstrip(".")}
            try:
                check_id(name)
            except InvalidDocument as exc:
                print(f"left out: {exc}", file=sys.stderr)
                continue
            yield SearchDocument(name, file.read_text("utf-8", "replace"), metadata)


def _lines(file: Path) -> Iterator[SearchDocument]:
    for number, raw in enumerate(file.read_bytes().splitlines(), start=1):
        try:
            line = raw.decode()
            found = json.loads(line)
            yield SearchDocument(str(found["id"]), found["content"], found.get("metadata"))
        except (ValueError, KeyError, TypeError) as exc:
            raise ConfigurationError(
                f"line {number} of {str(file)!r} is no document: {exc}"
            ) from exc
