"""The port of speech recognition, and what its adapters share."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import MissingTranscriberError
from ..transcript import Transcript

Progress = Callable[[float], None]
"""Told the share that is done, from 0.0 to 1.0, never falling."""


class Transcriber(ABC):
    """Turns a recording into a transcript.

    Blocking, so call it in a thread or a process of its own. Constructors load nothing. One
    instance serves several threads at a time.
    """

    @abstractmethod
    def transcribe(self, path: Path, *, on_progress: Progress, name: str = "") -> Transcript:
        """Return what is said in the WAV file at ``path``; silence gives no segments.

        ``name`` is what its owner calls it, for titles and messages; the name of ``path`` if empty.

        ``on_progress`` is called for each hundredth or so, and with 1.0 at the end. Raise an
        exception in it to stop: that exception passes through.

        Raises:
            UnreadableFile: It is no WAV file, or of a kind that is not supported.
            MissingTranscriberError: The recogniser's package is not installed.
            TranscriptionError: The recogniser failed.
        """


def require(module: str, remedy: str) -> Any:
    """Import ``module``; if its package is missing, say how to install it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name != module.partition(".")[0]:
            raise  # installed, but something inside it is broken: that is another story
        raise MissingTranscriberError(f"{module!r} is not installed: {remedy}") from exc


def rising(on_progress: Progress, duration: float) -> Callable[[float], None]:
    """Return a callable that takes the second reached and reports each further hundredth."""
    last = 0.0

    def report(second: float) -> None:
        nonlocal last
        share = min(second / duration, 1.0)
        if share - last >= 0.01:
            last = share
            on_progress(share)

    return report
