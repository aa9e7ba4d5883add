"""Documents of files that are gone: counted, and deleted where that is asked for."""

from pathlib import Path

from ..errors import ConfigurationError
from ..service import SearchService
from .files import SOURCE, Read


def check(path: Path) -> None:
    """Refuse what says nothing of files that are gone.

    Raises:
        ConfigurationError: It is no folder.
    """
    if path.exists() and not path.is_dir():
        raise ConfigurationError(f"--prune takes a folder, and {str(path)!r} is a file")


async def missing(service: SearchService, read: Read) -> int:
    """Return how many documents a folder brought in that it has no more; it is indexed already."""
    if not read.source or read.closed:
        return 0
    there = await service.count({SOURCE: read.source})
    return max(0, there - len(read.documents))


async def prune(service: SearchService, read: Read, *, yes: bool) -> int:
    """Delete the documents that a folder brought in and has no more; return how many.

    Raises:
        ConfigurationError: A part of the folder could not be read, or most of it is gone and
            ``yes`` is false.
    """
    if read.closed:
        raise ConfigurationError(f"nothing was pruned: {read.closed[0]!r} could not be read")
    there = await service.count({SOURCE: read.source})
    gone = there - len(read.documents)
    if gone * 2 > there and not yes:
        raise ConfigurationError(
            f"nothing was pruned: {gone} of the {there} documents that came from this folder are "
            "gone from it; is it mounted? --prune --yes deletes them"
        )
    return await service.delete_by_filter({SOURCE: read.source}, keep=read.present)
