"""The folder of a template: nothing in it leads out of it."""

import os
from pathlib import Path

from ...errors import TemplateError

_MOST = 10_000


def check_folder(folder: Path) -> None:
    """Refuse a folder with links that lead out of it, or with too many files.

    Raises:
        TemplateError: There is such a link, or there are over 10,000 files.
    """
    root, count = folder.resolve(), 0
    for place, folders, files in os.walk(root):
        for name in (*folders, *files):
            count += 1
            path = Path(place, name)
            if count > _MOST:
                raise TemplateError(f"the folder of the template has over {_MOST} files")
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise TemplateError(f"the link {name!r} leads out of the folder of the template")


def inside(folder: Path, path: Path, most: int) -> bytes:
    """Return the content of a file below ``folder``.

    Raises:
        TemplateError: It lies elsewhere, is no file, or has over ``most`` bytes.
    """
    real = path.resolve()
    if not real.is_relative_to(folder.resolve()) or not real.is_file():
        raise TemplateError(f"{str(path)[:200]!r} is no file in the folder of the template")
    with real.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise TemplateError(f"{path.name!r} is over {most} bytes")
    return data
