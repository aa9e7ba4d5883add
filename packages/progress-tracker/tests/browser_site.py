"""A site in this process that a browser visits: the application below /progress, beside a page."""

from pathlib import Path
from typing import Any

from _common.browser import Visited, beside_a_page, out_of_order
from progress_tracker import ProgressTracker

TOKENS = {"annas": "anna", "bens": "ben"}


class Site(Visited):
    """The server; ``sockets`` and ``streams`` say what gets through."""

    def __init__(self, tracker: ProgressTracker, folder: Path | None = None) -> None:
        super().__init__()
        self.tracker, self.folder = tracker, folder
        self.sockets, self.streams = True, True
        self.allowed_origins: list[str] = []

    def application(self) -> Any:
        from progress_tracker.asgi import create_app, token_of

        def who(connection: Any) -> str | None:
            return TOKENS.get(token_of(connection) or connection.cookies.get("token", ""))

        self.options["ws"] = "auto" if self.sockets else "none"
        self.app = create_app(self.tracker, authenticate=who, allowed_origins=self.allowed_origins)
        return beside_a_page(self._shaky, "/progress", "annas", self.folder)

    async def _shaky(self, scope: Any, receive: Any, send: Any) -> None:
        blocked = scope["path"].endswith("/events") and not self.streams
        await (out_of_order if blocked else self.app)(scope, receive, send)

    def end_connections(self) -> None:
        self.app.state.care.close()

    @property
    def connections(self) -> int:
        return int(self.app.state.care.connections)
