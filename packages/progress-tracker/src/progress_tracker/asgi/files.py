"""The browser's side, as files."""

from .._common.web_client_files import ClientFiles
from .guarding import UNKNOWN

FILES = ClientFiles("progress_tracker.asgi", UNKNOWN)


def client_path(name: str) -> str:
    """Return the path, below the application's own, of a file for browsers.

    It holds the hash of all of them: browsers keep it for a year, and a release changes it. Files
    import each other relatively. ``client/latest/{name}`` is for trying out: it is asked for anew
    each time.

    Args:
        name: ``client.js``, ``element.js``, ``react.js`` or one of their ``.d.ts``.

    Raises:
        ValueError: There is no such file.
    """
    return FILES.path(name)
