"""Font files of this system, and how ReportLab gets to know them."""

import functools
import os
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..._common.extras import require
from ...errors import ConfigurationError

# Text faces by preference: regular and bold.
_TEXT: Final = (
    ("NotoSans-Regular.ttf", "NotoSans-Bold.ttf"),
    ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
    ("LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf"),
    ("Arial.ttf", "Arial Bold.ttf"),
    ("arial.ttf", "arialbd.ttf"),
    ("Vera.ttf", "VeraBd.ttf"),
)
_FOLDERS: Final = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.fonts",
    "~/.local/share/fonts",
    "/Library/Fonts",
    "/System/Library/Fonts",
    "C:/Windows/Fonts",
)
font_lock = threading.RLock()


@dataclass(frozen=True, eq=False)
class Face:
    """A registered font: its name for ReportLab and the characters it has."""

    name: str
    path: str
    glyphs: frozenset[int] = field(repr=False)


@functools.cache
def font_files() -> dict[str, str]:
    """Return the font files of this system by their lower-case names."""
    here = require("reportlab", dist="exporter", extra="pdf").__file__ or ""
    own = str(Path(here).parent / "fonts")
    found: dict[str, str] = {}
    for folder in (*_FOLDERS, own):
        for root, _, files in os.walk(Path(folder).expanduser()):
            for name in sorted(files):
                if name.lower().endswith((".ttf", ".ttc")):
                    found.setdefault(name.lower(), str(Path(root) / name))
    return found


@functools.cache
def _face(path: str) -> Face | None:
    """Register the font file ``path``; None if ReportLab cannot use it."""
    ttfonts = require("reportlab.pdfbase.ttfonts", dist="exporter", extra="pdf")
    pdfmetrics = require("reportlab.pdfbase.pdfmetrics", dist="exporter", extra="pdf")
    name = f"exporter{len(pdfmetrics.getRegisteredFontNames())}-{Path(path).stem}"
    try:
        font = _font_class(ttfonts)(name, path)
    except (ttfonts.TTFError, OSError, ValueError, KeyError, IndexError):
        return None
    pdfmetrics.registerFont(font)
    return Face(name, path, frozenset(font.face.charToGlyph))


@functools.cache
def _font_class(ttfonts: Any) -> Any:
    class WideFont(ttfonts.TTFont):  # type: ignore[misc]  # its module is imported lazily
        """A font whose map back to Unicode is right.

        ReportLab cuts characters above U+FFFF to 16 bits, and gives glyphs that have no character
        private ones in the order of their use in the whole process.
        """

        def addObjects(self, doc: Any) -> None:  # noqa: N802  ReportLab's name
            count = len(self.state[doc].subsets) if doc in self.state else 0
            names = [self.getSubsetInternalName(n, doc)[1:] for n in range(count)]
            super().addObjects(doc)
            fonts = doc.idToObject["BasicFonts"].dict
            meanings: dict[tuple[str, int], str] = getattr(doc, "meanings", {})

            def right(found: re.Match[str]) -> str:
                code = int(found[2], 16)
                text = meanings.get((self.fontName, code), chr(code))
                return f"{found[1]}<{text.encode('utf-16-be').hex().upper()}>"

            for name in names:
                stream = doc.idToObject[fonts[name].ToUnicode.name]
                stream.content = _UNSURE.sub(right, stream.content)

    return WideFont


# private and above U+FFFF
_UNSURE = re.compile(r"(<[0-9A-F]{2}> )<((?:E[0-9A-F]|F[0-8])[0-9A-F]{2}|[0-9A-F]{5,6})>")


def load_face(path: str) -> Face | None:
    """Return the font file ``path``, registered; None if ReportLab cannot use it."""
    with font_lock:
        return _face(path)


def text_faces() -> tuple[Face, Face]:
    """Return the regular and the bold face of this system that text is set in."""
    index = font_files()
    for plain, heavy in _TEXT:
        path = index.get(plain.lower())
        if path is not None and (face := load_face(path)) is not None:
            other = index.get(heavy.lower())
            return face, (load_face(other) if other else None) or face
    raise ConfigurationError("no TrueType font was found; name one in formats.pdf.fonts")
