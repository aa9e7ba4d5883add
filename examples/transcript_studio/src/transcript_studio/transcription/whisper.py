"""Speech to text with faster-whisper: accurate, about a hundred languages, an extra.

Its first use of a model downloads it; give the folder of a model you have to stay offline.
"""

from pathlib import Path
from typing import Any, Final

from ..errors import TranscriptionError
from ..names import UNKNOWN_LANGUAGE, safe_title, tidy
from ..segments import segments_from_words
from ..transcript import Transcript, Word
from ..wav import inspect_wav
from .port import Progress, Transcriber, require, rising

_REMEDY: Final = "pip install 'transcript-studio[whisper]'"


class WhisperTranscriber(Transcriber):
    """Transcribes with a Whisper model by way of faster-whisper.

    Args:
        model: A size ("tiny" to "large-v3") or the folder of a converted model.
        device: "cpu", "cuda" or "auto".
        language: An ISO 639-1 code; None lets the model find out.
    """

    def __init__(
        self, model: str = "small", *, device: str = "auto", language: str | None = None
    ) -> None:
        self._model = model
        self._device = device
        self._language = language

    def transcribe(self, path: Path, *, on_progress: Progress, name: str = "") -> Transcript:
        """Return what is said in the WAV file at ``path``; see `Transcriber.transcribe`."""
        info = inspect_wav(path, name)
        library = require("faster_whisper", _REMEDY)
        stream, heard = self._start(library, path)
        report = rising(on_progress, info.duration)
        words: list[Word] = []
        while (found := _next(stream)) is not None:
            words.extend(Word(tidy(w.word), w.start, w.end) for w in found.words or ())
            report(found.end)
        on_progress(1.0)
        return Transcript(
            safe_title(name or path.name),
            heard.language or UNKNOWN_LANGUAGE,
            tuple(segments_from_words(words)),
            round(info.duration, 3),
            "faster-whisper",
        )

    def _start(self, library: Any, path: Path) -> Any:
        try:
            model = library.WhisperModel(self._model, device=self._device)
            return model.transcribe(
                str(path), language=self._language, word_timestamps=True, vad_filter=True
            )
        except Exception as exc:  # its errors come from five libraries, without a common root
            raise TranscriptionError(f"faster-whisper cannot run {self._model!r}: {exc}") from exc


def _next(stream: Any) -> Any:
    """Return the next segment or None; the work is done here, so it fails here too."""
    try:
        return next(stream, None)
    except Exception as exc:
        raise TranscriptionError(f"faster-whisper failed: {exc}") from exc
