"""Speech to text: a port, its adapters, and the choice among them by name.

An adapter is imported when it is chosen; its library is imported when it first transcribes.
"""

from importlib import import_module
from typing import Final

from ..errors import TranscriberNotFound
from .port import Progress, Transcriber

__all__ = ["DEFAULT_TRANSCRIBER", "TRANSCRIBERS", "Progress", "Transcriber", "get_transcriber"]

DEFAULT_TRANSCRIBER: Final = "pocketsphinx"
TRANSCRIBERS: Final = {
    "pocketsphinx": "sphinx:SphinxTranscriber",
    "faster-whisper": "whisper:WhisperTranscriber",
}


def get_transcriber(name: str = DEFAULT_TRANSCRIBER) -> Transcriber:
    """Return the transcriber called ``name``, with its default settings.

    Raises:
        TranscriberNotFound: There is none of that name.
    """
    if name not in TRANSCRIBERS:
        known = ", ".join(sorted(TRANSCRIBERS))
        raise TranscriberNotFound(f"no transcriber is called {name!r}; there are: {known}")
    module, _, cls = TRANSCRIBERS[name].partition(":")
    made: Transcriber = getattr(import_module(f".{module}", __name__), cls)()
    return made
