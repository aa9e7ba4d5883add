"""The page for one person on this machine: ``semsearch serve``."""

from collections.abc import Callable, Sequence

from .._common.web_local import LocalServer
from ..service import SearchService
from . import create_app


class Local:
    """A server of the page on this machine."""

    def __init__(
        self,
        service: SearchService,
        *,
        host: str = "127.0.0.1",
        port: int = 8322,
        facets: Sequence[str] = (),
        title: str = "Search",
        allowed_hosts: Sequence[str] = (),
    ) -> None:
        """Take the port; nothing is served yet.

        Args:
            service: What to search.
            host: The address to listen on.
            port: 0 picks a free one.
            facets: Names of metadata to narrow by.
            title: Heading of the page.
            allowed_hosts: Further names by which browsers may call it.

        Raises:
            ConfigurationError: The port is taken, or ``host`` is no address of ours.
            MissingExtraError: uvicorn or Starlette is not installed.
        """
        self._server = LocalServer(host, port, extra="serve")
        lets_in = self._server.entry.lets_in  # the one user there is may find everything
        self._app = create_app(service, authorize=lets_in, facets=facets, title=title)
        self._hosts = allowed_hosts
        self.url = self._server.url

    async def serve(self, stopping: Callable[[Callable[[], None]], None]) -> None:
        """Serve until stopped; ``stopping`` is told how to stop it."""
        await self._server.serve(self._app, self._hosts, stopping)
