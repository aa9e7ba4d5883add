"""The scripts: read when first needed, sent to a server that does not know them."""

import functools
import hashlib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script.

    Attributes:
        text: Its source, after what all stand on.
        sha: What ``EVALSHA`` calls it.
    """

    text: bytes
    sha: str


@functools.cache
def script(name: str) -> Script:
    """Return the script ``lua/NAME.lua``."""
    folder = resources.files(__name__.rpartition(".")[0]) / "lua"
    text = b"".join((folder / f"{part}.lua").read_bytes() for part in ("common", name))
    # the name that Redis gives it, no secret
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest())
