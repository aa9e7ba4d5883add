"""What may be in a Word template: nothing that unpacks without end, loads, or runs."""

import io
import zipfile
import zlib
from typing import Any
from urllib.parse import urlsplit
from xml.parsers import expat

from ...errors import TemplateError

_MOST_PARTS, _MOST_BYTES, _MOST_RATIO, _MOST_DEPTH = 2000, 1 << 27, 200, 200
_SMALL = 1 << 20  # of which any ratio is harmless
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_STRICT = "http://purl.oclc.org/ooxml/wordprocessingml/main"
# ECMA-376 part 1, 17.16.5: the fields that take nothing from outside of the document
_FIELDS = frozenset(
    {
        "=", "AUTHOR", "COMMENTS", "CREATEDATE", "DATE", "DOCPROPERTY", "EDITTIME", "FILENAME",
        "FILESIZE", "FORMTEXT", "HYPERLINK", "IF", "INDEX", "INFO", "KEYWORDS", "LASTSAVEDBY",
        "LISTNUM", "MERGEFIELD", "NOTEREF", "NUMCHARS", "NUMPAGES", "NUMWORDS", "PAGE", "PAGEREF",
        "PRINTDATE", "REF", "REVNUM", "SAVEDATE", "SECTION", "SECTIONPAGES", "SEQ", "STYLEREF",
        "SUBJECT", "SYMBOL", "TA", "TC", "TIME", "TITLE", "TOA", "TOC", "USERADDRESS", "USERNAME",
        "XE",
    }
)  # fmt: skip
_RUNS = ("vbaproject", "activex", "oleobject", "attachedtoolbars", "afchunk", "/control", "/frame")
_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb")
_SVG, _VML = "http://www.w3.org/2000/svg", "urn:schemas-microsoft-com:vml"
_SCHEMES = frozenset({"http", "https", "mailto"})


def check_package(data: bytes) -> None:
    """Refuse a package that is no Word document, too much, or not harmless.

    Raises:
        TemplateError: It says what was found.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            entries = package.infolist()
            _check_sizes(entries)
            left = _MOST_BYTES
            for entry in entries:
                part = _unpacked(package, entry, left)
                left -= len(part)
                _check_part(entry.filename, part)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as exc:
        raise TemplateError(f"it is no Word document: {exc}") from exc
    if "word/document.xml" not in {entry.filename for entry in entries}:
        raise TemplateError("it is no Word document: word/document.xml is missing")


def _check_sizes(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > _MOST_PARTS:
        raise TemplateError(f"it has over {_MOST_PARTS} parts")
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        raise TemplateError("two of its parts have the same name")
    for entry in entries:
        name, size = entry.filename, entry.file_size
        if "\\" in name or name.startswith("/") or ".." in name.split("/"):
            raise TemplateError(f"its part {name[:80]!r} leads out of the package")
        if size > _SMALL and size > _MOST_RATIO * max(1, entry.compress_size):
            raise TemplateError(f"its part {name[:80]!r} unpacks to {size} bytes")


def _unpacked(package: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    # what the directory says of the size may be a lie
    with package.open(entry) as stream:
        part = stream.read(most + 1)
    if len(part) > most:
        raise TemplateError(f"it unpacks to over {_MOST_BYTES} bytes")
    return part


def _check_part(name: str, part: bytes) -> None:
    lower = name.lower()
    if any(word in lower for word in _RUNS):
        raise TemplateError(f"it holds a program or a control: {name[:80]!r}")
    # the content counts: a relationship can make a document of a part of any name
    if lower.endswith((".xml", ".rels")) or part.lstrip()[:1] == b"<" or part[:2] in _MARKS:
        _Looker(name).look(part)


class _Looker:
    """Reads one part for what it must not hold: DTDs, endless nesting, fields, relationships."""

    def __init__(self, name: str) -> None:
        self._name, self._depth = name, 0
        self._fields: list[list[str]] = []
        self._in_code = False

    def look(self, part: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        try:
            parser.Parse(part, True)
        except expat.ExpatError as exc:
            raise TemplateError(f"its part {self._name[:80]!r} is not XML: {exc}") from exc

    def _doctype(self, *_: Any) -> None:
        raise TemplateError(f"its part {self._name[:80]!r} declares a document type")

    def _start(self, name: str, given: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise TemplateError(f"its part {self._name[:80]!r} is nested too deeply")
        space, _, local = name.rpartition(" ")
        attributes = {key.rpartition(" ")[2]: value for key, value in given.items()}
        if local == "Relationship":
            self._relationship(given)
        elif local in {"Default", "Override"} and "macro" in given.get("ContentType", "").lower():
            raise TemplateError("it holds macros")
        elif space in {_WORD, _STRICT}:
            self._word(local, attributes)
        elif space in {_SVG, _VML} and local not in {"a", "shape", "group"}:
            for key in ("src", "href", "althref"):
                if not attributes.get(key, "#").startswith(("#", "data:")):
                    raise TemplateError(
                        f"it would load {attributes[key][:120]!r} when it is opened"
                    )

    def _word(self, local: str, given: dict[str, str]) -> None:
        if local == "mailMerge":
            raise TemplateError("it is joined to a data source (mail merge)")
        if local == "fldSimple":
            _check_field(given.get("instr", ""))
        elif local == "fldChar":
            self._mark(given.get("fldCharType", ""))
        self._in_code = local in {"instrText", "delInstrText"}
        if self._in_code and not self._fields:
            self._fields.append([])  # without a beginning: read to the end of the part

    def _mark(self, kind: str) -> None:
        if kind == "begin":
            self._fields.append([])
        elif self._fields and kind in {"separate", "end"}:
            _check_field("".join(self._fields[-1]))
            if kind == "end":
                self._fields.pop()

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._in_code = False
        if self._depth == 0:
            for field in self._fields:
                _check_field("".join(field))

    def _text(self, text: str) -> None:
        if self._in_code:
            self._fields[-1].append(text)

    def _relationship(self, given: dict[str, str]) -> None:
        kind, target = given.get("Type", ""), given.get("Target", "")
        if any(word in kind.lower() for word in _RUNS):
            raise TemplateError(f"it holds a program or a control: {kind[-80:]!r}")
        if given.get("TargetMode", "").lower() == "external":
            link = kind.endswith("/hyperlink") and urlsplit(target).scheme.lower() in _SCHEMES
            if not link:
                raise TemplateError(f"it would load {target[:120]!r} when it is opened")


def _check_field(code: str) -> None:
    words = code.split(None, 1)
    if not words:
        return
    first = "=" if words[0].startswith("=") else words[0].upper()
    if first.partition("\\")[0] not in _FIELDS:
        raise TemplateError(f"the field {code.strip()[:80]!r} could load something")
