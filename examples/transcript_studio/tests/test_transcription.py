import random
import struct
import sys
import types
from itertools import pairwise
from pathlib import Path

import pytest
from audio import SAMPLES, read_samples, wav, word_error_rate

from transcript_studio import transcription
from transcript_studio.errors import (
    MissingTranscriberError,
    TranscriberNotFound,
    TranscriptionError,
    UnreadableFile,
)
from transcript_studio.transcription import TRANSCRIBERS, Transcriber, get_transcriber, sphinx
from transcript_studio.transcription.whisper import WhisperTranscriber
from transcript_studio.utterances import split_utterances
from transcript_studio.wav import inspect_wav, read_pcm


def ignore(share):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("name", ["product_meeting", "tides_lecture"])
def test_shipped_recordings_are_understood(name):
    shares = []
    path = SAMPLES / f"{name}.wav"
    transcript = get_transcriber().transcribe(path, on_progress=shares.append)
    reference = path.with_suffix(".txt").read_text(encoding="utf-8")
    assert word_error_rate(reference, transcript.text) < 0.15
    assert transcript.title == name.replace("_", " ")
    assert (transcript.language, transcript.source) == ("en", "pocketsphinx")
    assert transcript.speakers == ("Speaker 1",)
    words = [word for segment in transcript.segments for word in segment.words]
    assert all(0 <= word.start <= word.end <= transcript.duration for word in words)
    assert words == sorted(words, key=lambda word: word.start)
    assert shares == sorted(shares)
    assert (len(shares) > 20, shares[-1]) == (True, 1.0)


@pytest.mark.slow
def test_other_formats_are_understood_too(tmp_path):
    samples = read_samples(SAMPLES / "product_meeting.wav")[: 16_000 * 11]
    path = tmp_path / "stereo.wav"
    stereo = [value for sample in samples for value in (sample, sample // 2)]
    thrice = [value for i in range(0, len(stereo), 2) for value in stereo[i : i + 2] * 3]
    path.write_bytes(wav(struct.pack(f"<{len(thrice)}h", *thrice), channels=2, rate=48_000))
    text = get_transcriber().transcribe(path, on_progress=ignore).text
    assert "begin with the new search page" in text


@pytest.mark.slow
def test_hours_of_silence_are_given_to_no_recogniser(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(sphinx._Decoder, "words", lambda _, utterance, __: given.append(utterance))
    path = tmp_path / "night.wav"
    path.write_bytes(wav(b""))
    with path.open("r+b") as file:  # sparse: it takes no room on the disk
        file.seek(40)
        file.write(struct.pack("<I", 2 * 3600 * 32_000))
        file.truncate(44 + 2 * 3600 * 32_000)
    transcript = get_transcriber().transcribe(path, on_progress=ignore)
    assert given == []
    assert (transcript.segments, transcript.duration) == ((), 7200.0)


@pytest.mark.parametrize("loudness", [1, 30, 3_000, 20_000])
def test_noise_is_not_speech(tmp_path, loudness):
    rng = random.Random(7)
    path = tmp_path / "noise.wav"
    noise = [rng.randint(-loudness, loudness) for _ in range(16_000 * 20)]
    path.write_bytes(wav(struct.pack(f"<{len(noise)}h", *noise)))
    assert not list(split_utterances(read_pcm(path, inspect_wav(path))))
    assert not get_transcriber().transcribe(path, on_progress=ignore).segments


def test_speech_in_noise_is_found(tmp_path):
    rng = random.Random(7)
    clean = read_samples(SAMPLES / "tides_lecture.wav")
    noisy = [max(-32768, min(32767, sample + rng.randint(-60, 60))) for sample in clean]
    silence = bytes(32_000 * 40)
    path = tmp_path / "a.wav"
    path.write_bytes(wav(silence + struct.pack(f"<{len(noisy)}h", *noisy) + silence))
    found = list(split_utterances(read_pcm(path, inspect_wav(path))))
    assert found[0].start == pytest.approx(40, abs=1)
    assert found[-1].end == pytest.approx(40 + len(clean) / 16_000, abs=1)


def test_utterances_are_short_ordered_and_do_not_overlap():
    pcm = [(SAMPLES / "product_meeting.wav").read_bytes()[44 : 44 + 32_000 * 4]] * 30
    steady = [
        b"".join(pcm)[i : i + 32_000].replace(b"\0\0", b"") for i in range(0, 3_840_000, 32_000)
    ]
    for blocks in (pcm, steady):
        found = list(split_utterances(blocks))
        assert found
        assert all(one.end - one.start <= 20 for one in found)
        assert all(a.end <= b.start + 1e-9 for a, b in pairwise(found))


@pytest.mark.parametrize("name", sorted(TRANSCRIBERS))
@pytest.mark.parametrize("content", [b"", b"no wave", wav(b"")])
def test_bad_recordings_are_unreadable(tmp_path, name, content):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile):
        get_transcriber(name).transcribe(path, on_progress=ignore)


def test_an_exception_of_the_callback_stops_the_work():
    class Cancelled(RuntimeError):
        pass

    def cancel(share):
        raise Cancelled

    with pytest.raises(Cancelled):
        get_transcriber().transcribe(SAMPLES / "tides_lecture.wav", on_progress=cancel)


def test_an_unknown_name_lists_the_known():
    with pytest.raises(TranscriberNotFound, match=r"'parrot'.*faster-whisper, pocketsphinx"):
        get_transcriber("parrot")


@pytest.mark.parametrize(
    ("name", "module", "remedy"),
    [
        ("pocketsphinx", "pocketsphinx", "pip install pocketsphinx"),
        ("faster-whisper", "faster_whisper", r"pip install 'transcript-studio\[whisper\]'"),
    ],
)
def test_a_missing_package_is_named_with_its_remedy(monkeypatch, name, module, remedy):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingTranscriberError, match=remedy):
        get_transcriber(name).transcribe(SAMPLES / "tides_lecture.wav", on_progress=ignore)


def test_choosing_loads_no_recogniser():
    for name in TRANSCRIBERS:
        assert isinstance(get_transcriber(name), Transcriber)
    source = Path(transcription.__file__).parent
    for module in source.glob("*.py"):
        assert "\nimport pocketsphinx" not in module.read_text(encoding="utf-8")


class FakeWhisper:
    """The part of faster_whisper 1.2 that the adapter uses, as its README shows it."""

    def __init__(self, model, *, device):
        if model == "broken":
            raise RuntimeError("no such model")

    def transcribe(self, path, *, language, word_timestamps, vad_filter):
        words = [types.SimpleNamespace(word=" Hello", start=0.5, end=0.9)]
        words.append(types.SimpleNamespace(word=" there.", start=1.0, end=1.4))
        segment = types.SimpleNamespace(start=0.5, end=12.0, text=" Hello there.", words=words)
        return iter([segment]), types.SimpleNamespace(language=language or "en", duration=24.8)


def test_faster_whisper_becomes_a_transcript(monkeypatch):
    fake = types.SimpleNamespace(WhisperModel=FakeWhisper)
    monkeypatch.setitem(sys.modules, "faster_whisper", fake)
    shares = []
    made = WhisperTranscriber(language="de")
    transcript = made.transcribe(SAMPLES / "tides_lecture.wav", on_progress=shares.append)
    assert transcript.text == "Hello there."
    assert (transcript.language, transcript.source) == ("de", "faster-whisper")
    assert shares == [pytest.approx(0.48, abs=0.01), 1.0]
    with pytest.raises(TranscriptionError, match="no such model"):
        WhisperTranscriber("broken").transcribe(SAMPLES / "tides_lecture.wav", on_progress=ignore)
