"""Speech to text with PocketSphinx: its wheel carries an English model, so it works offline.

Modest accuracy on clear speech, poor on anything else. About 10 to 20 seconds of work a minute of
speech; pauses and steady noise cost next to nothing.
"""

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ..errors import TranscriptionError
from ..names import safe_title
from ..segments import segments_from_words
from ..transcript import Segment, Transcript, Word
from ..utterances import Utterance, split_utterances
from ..wav import SAMPLE_BYTES, SAMPLE_RATE, inspect_wav, read_pcm
from .port import Progress, Transcriber, require, rising

_REMEDY: Final = (
    "pip install pocketsphinx (it has no wheel for Python 3.14: use 3.11 to 3.13,"
    " or the transcriber 'faster-whisper')"
)
# The library holds the interpreter's lock while it decodes: give it a fifth of a second at a time,
# so that a heartbeat in another thread goes on beating.
_PIECE: Final = SAMPLE_RATE * SAMPLE_BYTES // 5
_FRAMES_PER_SECOND: Final = 100
_NOT_WORDS: Final = "<[+"  # <s>, <sil>, [NOISE], ++UM++
_FIRST_PERSON: Final = re.compile(r"^i(?=$|')")


class SphinxTranscriber(Transcriber):
    """Transcribes English with PocketSphinx, utterance by utterance."""

    def transcribe(self, path: Path, *, on_progress: Progress, name: str = "") -> Transcript:
        """Return what is said in the WAV file at ``path``; see `Transcriber.transcribe`."""
        info = inspect_wav(path, name)
        decoder = _Decoder()
        report = rising(on_progress, info.duration)
        segments: list[Segment] = []
        for utterance in split_utterances(read_pcm(path, info)):
            segments.extend(segments_from_words(decoder.words(utterance, report)))
        on_progress(1.0)
        return Transcript(
            safe_title(name or path.name),
            "en",
            tuple(segments),
            round(info.duration, 3),
            "pocketsphinx",
        )


class _Decoder:
    """The library's decoder, fed bit by bit, with errors of our own."""

    def __init__(self) -> None:
        sphinx = require("pocketsphinx", _REMEDY)
        with _translated():
            self._decoder = sphinx.Decoder(samprate=SAMPLE_RATE, loglevel="FATAL")

    def words(self, utterance: Utterance, report: Progress) -> list[Word]:
        """Return the words of one utterance, telling ``report`` the second that is reached."""
        with _translated():
            self._decoder.start_utt()
        for place in range(0, len(utterance.pcm), _PIECE):
            with _translated():
                self._decoder.process_raw(utterance.pcm[place : place + _PIECE])
            report(utterance.start + place / SAMPLE_BYTES / SAMPLE_RATE)
        with _translated():
            self._decoder.end_utt()
            return list(_words(self._decoder, utterance.start))


def _words(decoder: Any, start: float) -> Iterator[Word]:
    if decoder.hyp() is None:
        return
    for found in decoder.seg():
        if found.word[0] in _NOT_WORDS:
            continue
        word = found.word.partition("(")[0]  # "the(2)": its second pronunciation
        begin, end = found.start_frame / _FRAMES_PER_SECOND, found.end_frame / _FRAMES_PER_SECOND
        yield Word(_FIRST_PERSON.sub("I", word), round(start + begin, 2), round(start + end, 2))


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except RuntimeError as exc:
        raise TranscriptionError(f"pocketsphinx failed: {exc}") from exc
