"""HTML: one self-contained page that loads nothing and runs nothing."""

from ...documents import Citation, Document, Record, Row, Section, Segment, Table
from ...ports import Renderer
from ...presentation import Chapters, Speakers, facts_of, paragraphs, title_of
from ...texts import clean, line, markup, shown, stamp

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#667085;--rule:#e4e7ec;--page:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#98a2b3;--rule:#344054;--page:#10151c}
.who{filter:brightness(1.9) saturate(.8)}}
body{font:16px/1.6 system-ui,-apple-system,"Segoe UI","Noto Sans",sans-serif;color:var(--ink);
background:var(--page);max-width:46rem;margin:0 auto;padding:3rem 1.5rem;overflow-wrap:anywhere}
h1{font-size:1.9rem;line-height:1.25;margin:0 0 .6rem}h2{font-size:1.3rem;margin:2.2rem 0 .6rem}
h3,h4,h5,h6{font-size:1.1rem;margin:1.6rem 0 .5rem}p{margin:.5rem 0;white-space:pre-line}
header{border-bottom:1px solid var(--rule);margin-bottom:1.6rem;padding-bottom:1.2rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:0;font-size:.92rem}
dt{color:var(--soft)}dd{margin:0}
.s{display:grid;grid-template-columns:5rem 1fr;gap:0 .8rem;margin:.45rem 0;
align-items:baseline}.s p{margin:0}time{color:var(--soft);font-size:.85rem;
font-variant-numeric:tabular-nums}.who{grid-column:2;font-weight:600;margin-top:.6rem}
table{border-collapse:collapse;width:100%;margin:1rem 0;font-size:.95rem}
th,td{text-align:start;vertical-align:top;padding:.4rem .6rem;border-bottom:1px solid var(--rule)}
th{color:var(--soft);font-weight:600}blockquote{margin:.4rem 0 .4rem 1rem;padding-left:.9rem;
border-left:3px solid var(--rule)}small{color:var(--soft)}
@media print{body{max-width:none;padding:0}.s{break-inside:avoid}}
""".strip()
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


class HtmlRenderer(Renderer):
    """A page with its style inside; a policy in its head forbids scripts and requests."""

    format = "html"
    content_type = "text/html; charset=utf-8"

    def begin(self, document: Document) -> None:
        self._speakers, self._chapters = Speakers(), Chapters()
        self._citations, self._in_table = 0, False
        title, language = markup(title_of(document)), markup(line(document.language or ""))
        lang = f' lang="{language}"' if language else ""
        self.put(
            f'<!DOCTYPE html>\n<html{lang}>\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{title}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n"
        )
        if not self.context.include_metadata:
            return
        self.put(f'<header>\n<h1 dir="auto">{title}</h1>\n')
        if document.description:
            self.put(f'<p dir="auto">{markup(line(document.description))}</p>\n')
        rows = facts_of(document, self.context)
        cells = "".join(f"<dt>{markup(k)}</dt><dd dir=auto>{markup(v)}</dd>\n" for k, v in rows)
        self.put(f"<dl>\n{cells}</dl>\n</header>\n")

    def write(self, record: Record) -> None:
        if self._in_table and not isinstance(record, Row):
            self.put("</tbody></table>\n")
            self._in_table = False
        for chapter in self._chapters.before(record):
            self._section(chapter)
        if isinstance(record, Segment):
            self._segment(record)
        elif isinstance(record, Section):
            self._section(record)
        elif isinstance(record, Citation):
            self._citation(record)
        elif isinstance(record, Table):
            self._table(record)
        else:
            cells = "".join(f"<td dir=auto>{markup(shown(cell))}</td>" for cell in record.cells)
            self.put(f"<tr>{cells}</tr>\n")

    def _segment(self, record: Segment) -> None:
        name, who = self._speakers.change(record), ""
        if name:
            colour = self._speakers.colour(name)
            who = f'<b class="who" dir=auto style="color:#{colour}">{markup(name)}</b>'
        moment = stamp(record.start)
        self.put(
            f"<div class=s>{who}<time>{moment}</time><p dir=auto>{markup(record.text)}</p></div>\n"
        )

    def _section(self, record: Section) -> None:
        self._speakers.forget()
        tag = f"h{min(6, record.level + 1)}"
        if title := line(record.title):
            self.put(f"<{tag} dir=auto>{markup(title)}</{tag}>\n")
        self.put("".join(f"<p dir=auto>{markup(part)}</p>\n" for part in paragraphs(record.text)))
        if record.bullets:
            points = "".join(f"<li dir=auto>{markup(line(p))}</li>\n" for p in record.bullets)
            self.put(f"<ul>\n{points}</ul>\n")

    def _citation(self, record: Citation) -> None:
        self._citations += 1
        number = self._citations if record.number is None else record.number
        if self._citations == 1:
            self.put("<h2>Sources</h2>\n")
        score = "" if record.score is None else f" <small>{record.score:.2f}</small>"
        url = f"<br><small>{markup(line(record.url))}</small>" if record.url else ""
        self.put(f"<p dir=auto><b>[{number}] {markup(line(record.title))}</b>{score}{url}</p>\n")
        if record.text:
            self.put(f"<blockquote dir=auto><p>{markup(clean(record.text))}</p></blockquote>\n")

    def _table(self, record: Table) -> None:
        if title := line(record.title):
            self.put(f"<h2 dir=auto>{markup(title)}</h2>\n")
        heads = "".join(f"<th dir=auto>{markup(line(name))}</th>" for name in record.columns)
        self.put(f"<table><thead><tr>{heads}</tr></thead><tbody>\n")
        self._in_table = True

    def end(self) -> None:
        self.put("</tbody></table>\n</body>\n</html>\n" if self._in_table else "</body>\n</html>\n")
