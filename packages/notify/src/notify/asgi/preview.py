"""Templates as their channels would send them, for whom ``authorize`` lets look."""

from html import escape
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from .._common.web import WebError
from ..errors import TemplateError
from ..service import NotificationService
from .guarding import Guard

_LARGEST = 20_000
_STYLE = """
:root{color-scheme:light dark;--line:light-dark(#dde3ea,#2e3744);
--quiet:light-dark(#566273,#a3afbf)}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;max-width:56rem;margin:0 auto;padding:1.5rem 1rem 4rem;
background:light-dark(#f5f7fa,#0f1319);color:light-dark(#1b2430,#e8edf4)}
h1{font-size:1.35rem;margin:0 0 1rem;overflow-wrap:anywhere}
h2{font-size:.95rem;margin:1.5rem 0 .4rem}
a{color:light-dark(#1d4ed8,#8ab4ff)}
form{display:grid;gap:.75rem;grid-template-columns:8rem 1fr auto;align-items:end}
label{display:grid;gap:.25rem;font-size:.85rem;color:var(--quiet)}
input,textarea,button{font:inherit;padding:.45rem .6rem;border-radius:8px;
border:1px solid var(--line);background:light-dark(#fff,#171c24);color:inherit;min-width:0}
textarea{font-family:ui-monospace,monospace;font-size:.85rem;min-height:2.5rem;resize:vertical}
button{background:light-dark(#1d4ed8,#2f6fed);color:#fff;border:0;font-weight:600;cursor:pointer}
:focus-visible{outline:2px solid light-dark(#1d4ed8,#8ab4ff);outline-offset:2px}
.box{background:light-dark(#fff,#171c24);border:1px solid var(--line);border-radius:12px;
padding:.8rem 1rem;overflow-wrap:anywhere;white-space:pre-wrap;margin:0}
iframe{width:100%;height:24rem;border:1px solid var(--line);border-radius:12px;background:#fff}
.wrong{color:light-dark(#b42318,#ff8a80)}
li{margin:.3rem 0;overflow-wrap:anywhere}
@media(max-width:560px){form{grid-template-columns:1fr}}
"""
_HEADERS = {
    # mails have styles of their own and pictures from elsewhere, but never scripts
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "img-src https: data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


class Preview:
    """The handlers."""

    def __init__(self, service: NotificationService, guard: Guard) -> None:
        """Show the templates of ``service``."""
        self._service, self._guard = service, guard

    async def listing(self, _: Request, user: str) -> Response:
        """List the templates."""
        await self._guard.demand(user, "preview", None)
        names = await self._service.list_templates()
        rows = "".join(
            f'<li><a href="preview/{quote(channel, safe="")}/{quote(name)}">'
            f"{escape(channel)} / {escape(name)}</a></li>"
            for channel, name in names
        )
        return _page("Templates", f"<ul>{rows}</ul>" if rows else "<p>There are none.</p>")

    async def one(self, request: Request, user: str) -> Response:
        """Show a template, made of the variables that the form gives."""
        channel, name = request.path_params["channel"], request.path_params["template"]
        await self._guard.demand(user, "preview", name)
        if (channel, name) not in await self._service.list_templates():
            raise WebError(404, "there is nothing here")  # also names that lead out of the folder
        locale = request.query_params.get("locale", "")[:40]
        given = request.query_params.get("context", "{}")
        form = _FORM.format(locale=escape(locale), context=escape(given[:_LARGEST]))
        try:
            context = _variables(given)
            made = await self._service.preview(
                name, channel=channel, locale=locale or None, **context
            )
        except (TemplateError, ValueError) as exc:
            wrong = f'<p class="wrong" role="alert">{escape(str(exc))}</p>'
            return _page(f"{channel} / {name}", form + wrong, 400)
        shown = "".join(
            f"<h2>{title}</h2>{_box(part, made[part] or '')}"
            for part, title in (("subject", "Subject"), ("html", "HTML"), ("text", "Text"))
            if made[part] is not None
        )
        return _page(f"{channel} / {name}", form + shown)


_FORM = (
    '<form><label>Locale<input name="locale" value="{locale}" placeholder="de-AT"></label>'
    '<label>Variables, as JSON<textarea name="context" rows="1">{context}</textarea></label>'
    "<button>Show</button></form>"
)


def _box(part: str, content: str) -> str:
    if part == "html":
        # an origin of its own without scripts, forms or links to the page around it
        return f'<iframe sandbox title="The message" srcdoc="{escape(content)}"></iframe>'
    return f'<p class="box">{escape(content)}</p>'


def _variables(text: str) -> dict[str, Any]:
    if len(text) > _LARGEST:
        raise ValueError(f"the variables are over {_LARGEST} characters")
    try:
        found = msgspec.json.decode(text or "{}", type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        raise ValueError("the variables are no JSON object") from None
    for name in ("channel", "locale", "template", "self"):
        if name in found:
            raise ValueError(f"a variable cannot be called {name!r} here")
    return found


def _page(title: str, body: str, status: int = 200) -> Response:
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>",
        status,
        _HEADERS,
    )
