"""A site in this process that a browser visits: the application below /notify, beside a page."""

from pathlib import Path
from typing import Any

from _common.browser import Visited, beside_a_page, out_of_order
from notify import NotificationService

TOKENS = {"annas": "anna", "bens": "ben"}
SEVEN_SECONDS = """(() => {
  const [begin, end, held] = [setTimeout, clearTimeout, new Map()];
  let last = 0;
  window.setTimeout = (call, after, ...rest) => {
    if (after !== 7000) return begin(call, after, ...rest);
    held.set(--last, call);
    return last;
  };
  window.clearTimeout = (timer) => held.delete(timer) || end(timer);
  window.sevenSeconds = () => {
    for (const [timer, call] of [...held]) if (held.delete(timer)) call();
  };
})()"""
"""Toasts leave when a test says that their time is over."""


class Site(Visited):
    """The server; ``sockets`` and ``streams`` say what gets through."""

    def __init__(self, service: NotificationService, folder: Path | None = None) -> None:
        super().__init__()
        self.service, self.folder = service, folder
        self.sockets, self.streams = True, True
        self.authorize: Any = None

    def application(self) -> Any:
        from notify.asgi import create_app, token_of

        def who(connection: Any) -> str | None:
            return TOKENS.get(token_of(connection) or connection.cookies.get("token", ""))

        self.options["ws"] = "auto" if self.sockets else "none"
        self.app = create_app(self.service, authenticate=who, authorize=self.authorize)
        return beside_a_page(self._shaky, "/notify", "annas", self.folder)

    async def _shaky(self, scope: Any, receive: Any, send: Any) -> None:
        blocked = scope["path"].endswith("/events") and not self.streams
        await (out_of_order if blocked else self.app)(scope, receive, send)

    def end_connections(self) -> None:
        self.app.state.care.close()

    @property
    def connections(self) -> int:
        return int(self.app.state.care.connections)
