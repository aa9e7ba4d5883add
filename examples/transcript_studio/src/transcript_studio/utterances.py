"""Cuts a recording at its pauses, so that it is worked on piece by piece and silence not at all.

A 20 ms frame counts as voiced when it is three times louder than the noise floor, which is the
level that a tenth of the last 30 seconds stays below. Steady noise, however loud, never rises that
far above its own floor. Levels are taken of the differences of neighbouring samples: that evens out
rumble.
"""

from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from .wav import SAMPLE_BYTES, SAMPLE_RATE

_FRAMES_PER_SECOND: Final = 50
_FRAME_BYTES: Final = SAMPLE_RATE * SAMPLE_BYTES // _FRAMES_PER_SECOND
_PAGE: Final = 30 * _FRAMES_PER_SECOND
_ABOVE_FLOOR: Final = 3.0
_MIN_LEVEL: Final = 10.0  # quieter than this is silence, whatever the floor
_MARGIN: Final = 10  # frames kept around speech: soft first and last sounds
_PAUSE: Final = 15  # frames of silence that end an utterance
_MIN_VOICED: Final = 5  # a shorter one is a click
_MAX: Final = 20 * _FRAMES_PER_SECOND

_SILENT_FRAME: Final = bytes(_FRAME_BYTES)


@dataclass(frozen=True, slots=True)
class Utterance:
    """Speech between two pauses: 16 kHz, mono, 16 bit; ``start`` in seconds."""

    start: float
    pcm: bytes

    @property
    def end(self) -> float:
        """Where it ends, in seconds."""
        return self.start + len(self.pcm) / SAMPLE_BYTES / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class _Frame:
    pcm: bytes
    level: float
    voiced: bool = False


@dataclass(slots=True)
class _Open:
    """The utterance that is being collected."""

    start: int
    frames: list[_Frame] = field(default_factory=list)
    quiet: int = 0

    def add(self, frame: _Frame) -> None:
        self.frames.append(frame)
        self.quiet = 0 if frame.voiced else self.quiet + 1

    def cut(self) -> Iterator[Utterance]:
        """Take off what is in front of the quietest frame of the last five seconds."""
        later = range(len(self.frames) * 3 // 4, len(self.frames))
        place = min(later, key=lambda index: self.frames[index].level)
        yield from _Open(self.start, self.frames[:place]).close()
        self.start, self.frames = self.start + place, self.frames[place:]

    def drop_tail(self) -> list[_Frame]:
        """Take off the silence at the end, but for the margin."""
        tail = self.frames[_MARGIN - _PAUSE :]
        del self.frames[_MARGIN - _PAUSE :]
        return tail

    def close(self) -> Iterator[Utterance]:
        if sum(frame.voiced for frame in self.frames) >= _MIN_VOICED:
            pcm = b"".join(frame.pcm for frame in self.frames)
            yield Utterance(self.start / _FRAMES_PER_SECOND, pcm)


def split_utterances(pcm: Iterable[bytes]) -> Iterator[Utterance]:
    """Yield the parts of ``pcm`` (blocks as of `wav.read_pcm`) in which somebody may speak.

    At most 50 seconds are held at a time; an utterance has at most 20.
    """
    lead: deque[_Frame] = deque(maxlen=_MARGIN)
    current: _Open | None = None
    for number, frame in enumerate(_marked(_frames(pcm))):
        if current is None and frame.voiced:
            current = _Open(number - len(lead), list(lead))
            lead.clear()
        if current is None:
            lead.append(frame)
            continue
        current.add(frame)
        if current.quiet >= _PAUSE:
            lead.extend(current.drop_tail())
            yield from current.close()
            current = None
        elif len(current.frames) >= _MAX:
            yield from current.cut()
    if current:
        yield from current.close()


def _frames(pcm: Iterable[bytes]) -> Iterator[_Frame]:
    for block in pcm:
        for start in range(0, len(block), _FRAME_BYTES):
            piece = block[start : start + _FRAME_BYTES]
            yield _Frame(piece, _level(piece))


def _marked(frames: Iterable[_Frame]) -> Iterator[_Frame]:
    recent: deque[float] = deque(maxlen=_PAGE)
    for page in _pages(frames):
        recent.extend(frame.level for frame in page)
        floor = sorted(recent)[len(recent) // 10]
        threshold = max(_MIN_LEVEL, _ABOVE_FLOOR * floor)
        for frame in page:
            yield _Frame(frame.pcm, frame.level, frame.level > threshold)


def _pages(frames: Iterable[_Frame]) -> Iterator[list[_Frame]]:
    page: list[_Frame] = []
    for frame in frames:
        page.append(frame)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page


def _level(pcm: bytes) -> float:
    """Return the mean difference of neighbouring samples, looking at each eighth pair."""
    if pcm == _SILENT_FRAME[: len(pcm)] or len(pcm) < 4:
        return 0.0
    samples = array("h", pcm)
    pairs = zip(samples[::8], samples[1::8], strict=False)
    return 8 * sum(abs(first - second) for first, second in pairs) / len(samples)
