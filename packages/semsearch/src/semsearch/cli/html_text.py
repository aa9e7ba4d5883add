"""What people read of an HTML file."""

import re
from html.parser import HTMLParser

_UNSEEN = {"script", "style", "template", "noscript", "svg"}
_APART = {
    "p", "div", "br", "li", "ul", "ol", "tr", "table", "section", "article", "header", "footer",
    "h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote", "dt", "dd", "figcaption", "option",
}  # fmt: skip
_CELLS = {"td", "th"}


class _Plain(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self.title: list[str] = []
        self._unseen: list[str] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002  the library's own
        if tag in _UNSEEN:
            self._unseen.append(tag)
        self._in_title = tag == "title" and not self._unseen
        if tag in _APART:
            self.text.append("\n")
        elif tag in _CELLS:
            self.text.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._unseen:
            # what was opened within and never closed ends with it
            del self._unseen[self._unseen.index(tag) :]
        self._in_title = False
        if tag in _APART:
            self.text.append("\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif not self._unseen:
            self.text.append(data)


def text_of_html(markup: str) -> tuple[str, str]:
    """Return the text of a page, a line for each block, and its title; scripts are left out."""
    parser = _Plain()
    parser.feed(markup)
    parser.close()
    lines = (re.sub(r"[^\S\n]+", " ", line).strip() for line in "".join(parser.text).split("\n"))
    return "\n".join(line for line in lines if line), " ".join("".join(parser.title).split())
