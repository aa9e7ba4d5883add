"""File names and headers."""

import re
import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import ExportError, InvalidSource, StorageError
from exporter.filenames import (
    MAX_BYTES,
    check_filename,
    check_key,
    content_disposition,
    made_filename,
    unique,
    with_extension,
)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        "..",
        "a/b",
        "a\\b",
        "/etc/passwd",
        "C:\\x",
        "x:y",
        "nul\0",
        "a\nb",
        "a\rb",
        "CON",
        "aux.txt",
        "com1",
        "LPT9.md",
        "com¹.txt",
        "x.",
        "x ",
        " x",
        ".x",
        "a\u202eb",
        "\u2066x",
        "\ud800",
        "\ufeffx",
        "a*b",
        "a?b",
        '"',
        "<",
        "|",
        "x" * 201,
        "ü" * 101,
        "\x85",
        "\x7f",
        "CONIN$",
        "nul .txt",
        "Con  ",
    ],
)
def test_refused(name: str) -> None:
    with pytest.raises(InvalidSource):
        check_filename(name)
    if "/" not in name[1:]:
        with pytest.raises(StorageError):
            check_key(f"a/{name}")


@pytest.mark.parametrize(
    "name", ["a", "a.b.c", "今天", "console.txt", "com10", "a b", "é", "😀", "x" * 200]
)
def test_allowed(name: str) -> None:
    assert check_filename(name) == name
    assert check_key(f"a/{name}") == ("a", name)


def test_normalised() -> None:
    assert check_filename("e\u0301") == "é"


def test_extension_comes_once() -> None:
    assert with_extension("a", "pdf") == "a.pdf"
    assert with_extension("a.PDF", "pdf") == "a.PDF"
    assert with_extension("a.txt", "pdf") == "a.txt.pdf"


def test_unique() -> None:
    assert unique("a.txt", {"b.txt"}) == "a.txt"
    assert unique("A.txt", {"a.txt", "a (2).txt"}) == "A (3).txt"
    assert unique("a", {"a"}) == "a (2)"


@given(st.lists(st.text(st.characters(exclude_categories=[])), min_size=1, max_size=3))
def test_made_names_are_always_allowed(parts: list[str]) -> None:
    name = with_extension(made_filename(*parts), "pdf")
    assert check_filename(name) == unicodedata.normalize("NFC", name)
    assert len(name.encode()) <= MAX_BYTES


@given(st.text(st.characters(exclude_categories=[])))
def test_headers_cannot_be_forged(name: str) -> None:
    header = content_disposition(name)
    assert header.isascii()
    assert re.fullmatch(
        r"attachment; filename=\"[A-Za-z0-9 ._()\-]+\"(?:; filename\*=UTF-8''[A-Za-z0-9%._~\-]*)?",
        header,
    )


def test_headers_carry_the_name() -> None:
    assert content_disposition("a b.txt") == 'attachment; filename="a b.txt"'
    header = content_disposition("Größe 今天.pdf")
    assert 'filename="Groe .pdf"' in header or 'filename="Gro' in header
    assert unquote(header.partition("UTF-8''")[2]) == "Größe 今天.pdf"


def test_all_are_export_errors() -> None:
    assert issubclass(InvalidSource, ExportError)
