"""The scripts: read when first needed, sent to a server that does not know them."""

import functools
import hashlib
from dataclasses import dataclass
from importlib import resources

NAMES = ("one", "add", "enqueue", "step", "extend", "change", "look")


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script.

    Attributes:
        name: Of its file.
        text: Its source, after what it stands on.
        sha: What ``EVALSHA`` calls it.
    """

    name: str
    text: bytes
    sha: bytes


@functools.cache
def script(name: str) -> Script:
    """Return the script ``lua/NAME.lua``."""
    folder = resources.files(__name__.rpartition(".")[0]) / "lua"
    # each call runs a script from its first line: the most frequent one has the least before it
    parts = {"one": ("one",), "add": ("head", "add")}.get(name, ("head", "common", name))
    text = b"".join((folder / f"{part}.lua").read_bytes() for part in parts)
    # the name that Redis gives it, no secret
    sha = hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()
    return Script(name, text, sha)
