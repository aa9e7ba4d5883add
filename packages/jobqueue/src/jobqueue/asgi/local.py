"""The dashboard for one person on this machine: ``jobqueue dashboard``."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .._common.web_local import LocalServer
from ..service import JobQueue
from . import create_app

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection


class Local:
    """A server of the dashboard on this machine."""

    def __init__(
        self,
        queue: JobQueue,
        *,
        host: str = "127.0.0.1",
        port: int = 8321,
        read_only: bool = False,
        allowed_hosts: Sequence[str] = (),
    ) -> None:
        """Take the port; nothing is served yet.

        Args:
            queue: What to show.
            host: The address to listen on.
            port: 0 picks a free one.
            read_only: Whether nothing can be changed.
            allowed_hosts: Further names by which browsers may call it.

        Raises:
            ConfigurationError: The port is taken, or ``host`` is no address of ours.
            MissingExtraError: uvicorn or Starlette is not installed.
        """
        self._server = LocalServer(host, port, extra="dashboard")
        self._app = create_app(
            queue,
            authenticate=self._who,
            authorize=None if read_only else _everything,
        )
        self._live = self._app.state.live
        self._hosts = allowed_hosts
        self.url = self._server.url

    async def serve(self, stopping: Callable[[Callable[[], None]], None]) -> None:
        """Serve until stopped; ``stopping`` is told how to stop it."""
        await self._server.serve(self._app, self._hosts, stopping, self._live.close)

    def _who(self, connection: "HTTPConnection") -> str | None:
        return "local" if self._server.entry.lets_in(connection) else None


def _everything(_user: str, _action: str, _record: object) -> bool:
    return True
