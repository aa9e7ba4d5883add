"""Fonts for PDF: chosen by character; what no font has is made visible."""

import functools
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from ...errors import ConfigurationError
from .pdf_faces import Face, font_files, load_face, text_faces

# What the text face lacks, by preference. TrueType outlines only: ReportLab embeds no others.
_REST: Final = (
    "DejaVuSans.ttf",
    "wqy-microhei.ttc",
    "DroidSansFallbackFull.ttf",
    "Arial Unicode.ttf",
    "msyh.ttc",
    "malgun.ttf",
    "NotoEmoji-Regular.ttf",
    "NotoEmoji[wght].ttf",
    "NotoEmoji-VariableFont_wght.ttf",
    "Symbola.ttf",
    "Symbola_hint.ttf",
    "NotoSansSymbols-Regular.ttf",
    "NotoSansSymbols2-Regular.ttf",
    "NotoSansMath-Regular.ttf",
    "NotoMusic-Regular.ttf",
    "seguisym.ttf",
    "seguiemj.ttf",
    "Apple Symbols.ttf",
)
_IDEOGRAPHIC = {"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "FULLWIDTH", "HALFWIDTH"}
_SPACE: Final = ord(" ")


class FontStack:
    """Chooses a font for each cluster of characters; one per document."""

    def __init__(self, preferred: Sequence[str], report: Callable[[str], None]) -> None:
        """Prefer the files ``preferred``; note characters that no font has with ``report``.

        Raises:
            ConfigurationError: A preferred file is no usable TrueType font.
        """
        self._report = report
        self.meanings: dict[tuple[str, int], str] = {}
        first: list[Face] = []
        for path in preferred:
            if (face := load_face(str(Path(path).absolute()))) is None:
                raise ConfigurationError(f"formats.pdf.fonts: not a usable TrueType font: {path!r}")
            first.append(face)
        regular, bold = text_faces()
        self.regular = first[0] if first else regular
        self.bold = first[0] if first else bold
        self._stack = [*first, regular]
        self._rest = [font_files()[n.lower()] for n in _REST if n.lower() in font_files()]
        self._chosen: dict[tuple[str, bool], Face | None] = {}
        # characters that stand for themselves, whatever follows them
        self._single: dict[bool, dict[str, Face | None]] = {False: {}, True: {}}

    def markup(self, text: str, *, bold: bool = False) -> str:
        """Return cleaned text as ReportLab markup: escaped, with the fonts that it needs."""
        base = self.bold if bold else self.regular
        if text.isascii():
            return _escaped(text)
        parts: list[str] = []
        for face, run in self.runs(text, bold=bold):
            safe = _escaped(run)
            parts.append(safe if face is base else f'<font name="{face.name}">{safe}</font>')
        return "".join(parts)

    def one(self, text: str, *, bold: bool = False) -> Face | None:
        """Return the font that sets all of ``text`` as it stands; None if it takes more."""
        base = self.bold if bold else self.regular
        if text.isascii():
            return base
        known = self._single[bold]
        found = set(map(known.get, text.replace(" ", "")))
        if len(found - {None}) > 1:
            return None
        if None in found and not self._follow(text, known):
            runs = list(self.runs(text, bold=bold))
            return runs[0][0] if len(runs) == 1 and runs[0][1] == text else None
        found.discard(None)
        face = found.pop() if found and unicodedata.is_normalized("NFC", text) else None
        if face is None or face is base or " " not in text:
            return face
        return face if text[0] != " " and _SPACE in face.glyphs else None

    def _follow(self, text: str, known: dict[str, Face | None]) -> bool:
        """Whether what is not ``known`` of a text of one font are marks behind their letters."""
        chars = set(text)
        faces = {known[char] for char in chars if char in known and char != " "}
        face = faces.pop() if len(faces) == 1 else None
        return face is not None and all(
            ord(char) in face.glyphs
            and joins(char)
            and char != "\u200d"
            and text[0] != char
            and f" {char}" not in text
            for char in chars
            if char not in known
        )

    def runs(self, text: str, *, bold: bool = False) -> Iterator[tuple[Face, str]]:
        """Yield the runs of one font; what no font has is written as ``[U+1F9E0]``."""
        base = self.bold if bold else self.regular
        text = unicodedata.normalize("NFC", text)
        known = self._single[bold]
        faces: list[Face | None] = list(map(known.get, text))
        parts: Sequence[str] = text
        if None in faces and not _joined(text, faces):
            found = [(self._cluster(each, base, bold=bold), each) for each in _clusters(text)]
            for (face, shown), cluster in found:
                if len(cluster) == 1 and shown == cluster and not joins(cluster):
                    known[cluster] = face
            faces, parts = [face for (face, _), _ in found], [shown for (_, shown), _ in found]
        start, current = 0, base
        for at, own in enumerate(faces):
            if own is current or own is None:
                continue
            # a space between words of one font is of that font: each change costs a fragment
            if at and parts[at] == " " and _SPACE in current.glyphs:
                continue
            if at:
                yield current, "".join(parts[start:at])
            start, current = at, own
        if parts:
            yield current, "".join(parts[start:])

    def _cluster(self, cluster: str, base: Face, *, bold: bool) -> tuple[Face, str]:
        if len(cluster) == 1 and ord(cluster) in base.glyphs:
            return base, cluster
        key = (cluster, bold)
        if key not in self._chosen:
            if len(self._chosen) > 50_000:
                self._chosen.clear()
            self._chosen[key] = self._find(cluster, base, bold=bold)
        face = self._chosen[key]
        if face is not None:
            return face, "".join(c for c in cluster if ord(c) in face.glyphs or c in "\n\t")
        return base, "".join(self._replaced(char, base) for char in cluster)

    def _find(self, cluster: str, base: Face, *, bold: bool) -> Face | None:
        needed = {ord(char) for char in cluster if not _ignorable(char) and char not in "\n\t"}
        if needed <= base.glyphs:
            return base
        for other in self._candidates(cluster[0], bold=bold):
            if needed <= other.glyphs:
                return other
        # marks that no font has together with their base are left to the base's font
        if len(cluster) > 1 and (face := self._find(cluster[0], base, bold=bold)) is not None:
            return face if needed <= face.glyphs else None
        return None

    def _candidates(self, char: str, *, bold: bool) -> Iterator[Face]:
        name = unicodedata.name(char, "")
        words = (
            []
            if not name or name.split()[0].rstrip("-0123456789") in _IDEOGRAPHIC
            else name.split()
        )
        script = "".join(word.capitalize() for word in words[:1])
        double = "".join(word.capitalize() for word in words[:2])
        weights = ("bold", "regular") if bold else ("regular",)
        own = [f"notosans{which}-{w}.ttf" for w in weights for which in (double, script) if which]
        heavy, paths = (
            len(own) // 2 if bold else 0,
            [font_files().get(name.lower()) for name in own],
        )
        for path in paths[:heavy]:
            if path and (face := load_face(path)) is not None:
                yield face
        yield from self._stack
        for path in (*filter(None, paths[heavy:]), *self._rest):
            if (face := load_face(path)) is not None:
                yield face

    def _replaced(self, char: str, base: Face) -> str:
        if ord(char) in base.glyphs or char in "\n\t":
            return char
        if _ignorable(char):
            return ""
        self._report(f"no font has {unicodedata.name(char, 'the character')} (U+{ord(char):04X})")
        return f"[U+{ord(char):04X}]"


def _clusters(text: str) -> Iterator[str]:
    """Yield each character with the marks, joiners and selectors that follow it."""
    held = ""
    for char in text:
        belongs = held and (joins(char) or held[-1] == "\u200d")
        if belongs and held not in {"\n", "\t", " "}:
            held += char
            continue
        if held:
            yield held
        held = char
    if held:
        yield held


def _joined(text: str, faces: list[Face | None]) -> bool:
    """Give marks the font of what they stand on, if it has them; return whether all have one.

    That is what :meth:`FontStack._find` finds for both of them: no font before it has the first.
    """
    if "\u200d" in text:
        return False
    at = -1
    while None in faces[at + 1 :]:
        at = faces.index(None, at + 1)
        before, char = (faces[at - 1] if at else None), text[at]
        if before is None or text[at - 1] in "\n\t " or not joins(char):
            return False
        if ord(char) not in before.glyphs:
            return False
        faces[at] = before
    return True


@functools.lru_cache(maxsize=4096)
def joins(char: str) -> bool:
    """Whether ``char`` belongs to the one before it."""
    return bool(unicodedata.combining(char)) or _ignorable(char)


def _ignorable(char: str) -> bool:
    """Whether nothing is lost where a font lacks ``char``: joiners, selectors, direction marks."""
    code = ord(char)
    return (
        unicodedata.category(char) == "Cf"
        or 0xFE00 <= code <= 0xFE0F
        or 0xE0100 <= code <= 0xE01EF
        or code in {0x034F, 0x115F, 0x1160, 0x3164}
    )


def _escaped(text: str) -> str:
    return escape(text).replace("\n", "<br/>").replace("\t", "    ")
