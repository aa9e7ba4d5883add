import struct

import pytest
from audio import SAMPLES, read_samples, wav
from hypothesis import given, settings
from hypothesis import strategies as st

from transcript_studio import wav as module
from transcript_studio.errors import UnreadableFile
from transcript_studio.wav import inspect_wav, read_pcm

TONE = [int(8000 * ((i % 80) / 40 - 1)) for i in range(16_000)]


def pack(values, code="h"):
    return struct.pack(f"<{len(values)}{code}", *values)


def load(path):
    data = b"".join(read_pcm(path, inspect_wav(path)))
    return struct.unpack(f"<{len(data) // 2}h", data)


def pack_24(values):
    return b"".join((value << 8).to_bytes(3, "little", signed=True) for value in values)


@pytest.mark.parametrize(
    ("content", "tolerance"),
    [
        (wav(pack(TONE)), 0),
        (wav(pack(TONE), extensible=True), 0),
        (wav(pack(TONE), extra=b"LIST\x03\0\0\0abc\0"), 0),
        (wav(bytes((value >> 8) + 128 for value in TONE), bits=8), 256),
        (wav(pack_24(TONE), bits=24, extensible=True), 0),
        (wav(pack([value << 16 for value in TONE], "i"), bits=32), 0),
        (wav(pack([value / 32767 for value in TONE], "f"), codec=3, bits=32), 1),
        (wav(pack([v for value in TONE for v in (value, value)]), channels=2), 0),
    ],
    ids=["16", "extensible", "list-chunk", "8", "24", "32", "float", "stereo"],
)
def test_encodings_become_16_bit_mono(tmp_path, content, tolerance):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert all(abs(a - b) <= tolerance for a, b in zip(load(path), TONE, strict=True))


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_rates_become_16_khz(tmp_path, rate):
    path = tmp_path / "a.wav"
    ramp = [index * 20_000 // rate % 20_000 for index in range(rate * 5 // 2)]
    path.write_bytes(wav(pack(ramp), rate=rate))
    samples = load(path)
    assert abs(len(samples) - 40_000) <= 1
    assert inspect_wav(path).duration == pytest.approx(2.5, abs=1 / rate)
    assert all(abs(samples[i] - i * 20_000 // 16_000) < 5 for i in range(15_000))


def test_float_outliers_are_clipped(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(pack([9.0, -9.0, float("inf"), float("nan")], "f"), codec=3, bits=32))
    assert load(path) == (32767, -32767, 32767, 32767)


def test_shipped_recordings_agree_with_the_standard_library():
    for path in SAMPLES.glob("*.wav"):
        assert load(path) == read_samples(path)


def test_a_stream_of_unknown_length_ends_with_the_file(tmp_path):
    path = tmp_path / "a.wav"
    content = wav(pack(TONE))
    path.write_bytes(content.replace(struct.pack("<I", 32_000), b"\xff" * 4))
    assert inspect_wav(path).duration == 1.0
    path.write_bytes(content[:-3201])
    assert len(load(path)) == 14_399


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty (0 bytes)"),
        (b"hello, I am a wave", "is not a WAV"),
        (b"ID3\x04" + bytes(5000), "is not a WAV"),
        (b"RIFF\0\0\0\0WAVE", "without audio"),
        (b"RIFF", "is not a WAV"),
        (wav(b""), "without audio"),
        (wav(b"\1"), "without audio"),
        (wav(pack(TONE))[:30], "damaged WAV header"),
        (wav(bytes(999), codec=2, bits=4), "ADPCM"),
        (wav(bytes(999), codec=7, bits=8), "mu-law"),
        (wav(bytes(999), codec=85, bits=0), "MP3"),
        (wav(bytes(999), codec=4711, bits=8), "codec 4711"),
        (wav(bytes(999), bits=12), "12 bit"),
        (wav(bytes(999), bits=64, codec=3), "64 bit"),
        (wav(bytes(999), rate=0), "at 0 Hz"),
        (wav(bytes(999), rate=4_000_000), "Hz"),
        (wav(bytes(999), channels=0), "0 channels"),
        (wav(bytes(999), channels=99), "99 channels"),
    ],
)
def test_what_cannot_be_read_is_said_clearly(tmp_path, content, words):
    path = tmp_path / "talk.wav"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile) as caught:
        inspect_wav(path)
    assert words in str(caught.value)
    assert "'talk.wav'" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_missing_files_folders_and_large_files(tmp_path, monkeypatch):
    with pytest.raises(UnreadableFile, match="No such file"):
        inspect_wav(tmp_path / "none.wav")
    with pytest.raises(UnreadableFile, match="cannot be opened"):
        inspect_wav(tmp_path)
    monkeypatch.setattr(module, "MAX_RECORDING_BYTES", 1_000)
    with pytest.raises(UnreadableFile, match="more than"):
        inspect_wav(SAMPLES / "tides_lecture.wav")


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=200)
    | st.binary(max_size=200).map(lambda tail: wav(pack(TONE[:50]))[:12] + tail)
    | st.tuples(st.integers(0, 99), st.binary(min_size=1, max_size=8)).map(
        lambda edit: wav(pack(TONE[:50]))[: edit[0]] + edit[1] + wav(pack(TONE[:50]))[edit[0] :]
    )
)
def test_any_bytes_are_audio_or_unreadable(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("wav") / "a.wav"
    path.write_bytes(content)
    try:
        info = inspect_wav(path)
    except UnreadableFile:
        return
    assert all(len(block) % 2 == 0 for block in read_pcm(path, info))
