"""Routes without a user: one-click unsubscription, and what providers report.

Who calls is known by a signature in the link or the request, not by a session: neither cookies nor
origins are looked at.
"""

import logging
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from .._common.web import answer, refusal
from ..adapters.events import (
    Incoming,
    MailgunReporter,
    Refused,
    Reporter,
    SendGridReporter,
    SNSReporter,
    TwilioReporter,
)
from ..errors import BackendError
from ..service import NotificationService
from ..settings import EventSettings

logger = logging.getLogger(__name__)
_LARGEST = 4 << 20
_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">'
    "<title>{title}</title></head>"
    '<body style="font-family:system-ui,sans-serif;max-width:32rem;margin:15vh auto;'
    'padding:0 1rem">'
    "<h1>{title}</h1>{body}</body></html>"
)
_FORM = (
    "<p>You will get no more of these messages.</p>"
    '<form method="post"><button style="font-size:1rem;padding:.6rem 1.2rem">Unsubscribe</button>'
    "</form>"
)
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "Referrer-Policy": "no-referrer",  # the address is a key
    "Cache-Control": "no-store",
}


def reporters_of(events: EventSettings) -> dict[str, Reporter]:
    """Return by name the providers that are listened to.

    Raises:
        ConfigurationError: A key is none.
        MissingExtraError: A library that verifies signatures is not installed.
    """
    found: dict[str, Reporter] = {}
    if events.sendgrid_key is not None:
        found["sendgrid"] = SendGridReporter(events.sendgrid_key, max_age=events.max_age)
    if events.mailgun_key is not None:
        found["mailgun"] = MailgunReporter(events.mailgun_key, max_age=events.max_age)
    if events.twilio_token is not None and events.url is not None:
        found["twilio"] = TwilioReporter(events.twilio_token, events.url)
    if events.sns_topics:
        found["sns"] = SNSReporter(events.sns_topics, max_age=events.max_age)
    return found


class PublicRoutes:
    """The routes of one app."""

    def __init__(
        self, service: NotificationService, reporters: dict[str, Reporter] | None = None
    ) -> None:
        """Serve ``service``; ``reporters`` are those of its settings if None."""
        self._service = service
        self._reporters = reporters_of(service.settings.events) if reporters is None else reporters

    def routes(self) -> list[Route]:
        """Return the routes that the settings have a use for."""
        made = [Route("/events/{provider}", self._events, methods=["POST"])]
        if self._service.settings.unsubscribe.url is not None:
            path = "/unsubscribe/{token}"
            made += [
                Route(path, self._ask, methods=["GET"]),
                Route(path, self._unsubscribe, methods=["POST"]),
            ]
        return made

    async def _ask(self, request: Request) -> Response:
        # a GET changes nothing: scanners of mail follow every link
        if not await self._service.can_unsubscribe(request.path_params["token"]):
            return _page(404, "This link is not valid", "<p>It may be too old.</p>")
        return _page(200, "Unsubscribe?", _FORM)

    async def _unsubscribe(self, request: Request) -> Response:
        try:
            done = await self._service.unsubscribe(request.path_params["token"])
        except BackendError:
            return _page(503, "Please try again", "<p>The store does not answer.</p>")
        if not done:
            return _page(404, "This link is not valid", "<p>It may be too old.</p>")
        return _page(200, "Unsubscribed", "<p>You will get no more of these messages.</p>")

    async def _events(self, request: Request) -> Response:
        name = request.path_params["provider"]
        reporter = self._reporters.get(name)
        if reporter is None:
            return refusal(404, "no such provider")
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > _LARGEST:
                return refusal(413, "too large")
        query = f"?{request.url.query}" if request.url.query else ""
        headers = {key.lower(): value for key, value in request.headers.items()}
        incoming = Incoming(headers, bytes(body), f"/events/{name}{query}")
        try:
            reports = await reporter.read(incoming, self._service.clock.time())
            known = await self._service.record_reports(reports)
            reporter.recorded(incoming)
        except Refused as exc:
            logger.warning("events.refused", extra={"provider": name, "why": str(exc)})
            return refusal(403, "not a report of this provider")
        except BackendError:
            # they send it again
            return refusal(503, "the store does not answer; try again")
        return answer({"reports": len(reports), "known": known})


def _page(status: int, title: str, body: str) -> Response:
    return HTMLResponse(_PAGE.format(title=escape(title), body=body), status, _HEADERS)
