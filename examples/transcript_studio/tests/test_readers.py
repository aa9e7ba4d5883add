import contextlib
import json
import time

import pytest
from audio import SAMPLES
from hypothesis import example, given, settings
from hypothesis import strategies as st

from transcript_studio.errors import UnreadableFile
from transcript_studio.readers import MAX_TRANSCRIPT_BYTES, read_transcript
from transcript_studio.transcript import Segment, Transcript, Word


@pytest.fixture
def read(tmp_path):
    def read(content, name):
        path = tmp_path / "upload"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_transcript(path, name=name)

    return read


def spoken(transcript):
    return [(s.start, s.end, s.speaker, s.text) for s in transcript.segments]


@pytest.mark.parametrize(
    ("name", "language", "speakers", "count"),
    [
        ("garden_podcast.en.srt", "en", ("Ruth", "Omar"), 16),
        ("workshop_meeting.vtt", "de", ("Anna", "Jonas", "Mira"), 14),
        ("support_call.json", "en", ("Agent", "Caller"), 13),
    ],
)
def test_shipped_transcripts(name, language, speakers, count):
    transcript = read_transcript(SAMPLES / name)
    assert transcript.title == name.split(".")[0].replace("_", " ")
    assert (transcript.language, transcript.speakers) == (language, speakers)
    assert len(transcript.segments) == count
    assert transcript.duration == transcript.segments[-1].end
    assert transcript.source == name.rsplit(".", 1)[1]
    assert bool(transcript.segments[0].words) is name.endswith("json")


def test_srt_as_people_write_it(read):
    text = (
        "\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>Hello</i> {\\an8}you\r\nthere\r\n\r\n"
        "00:00:03.5-->00:00:03\r\n5 < 6 &amp; more\r\n3\r\n"
        "0:05 --> 0:06 position:50%\r\nlast"
    )
    assert spoken(read(text, "a.srt")) == [
        (1.0, 2.5, "", "Hello you there"),
        (3.5, 3.5, "", "5 < 6 & more"),
        (5.0, 6.0, "", "last"),
    ]


def test_vtt_voices_ids_notes_and_tags(read):
    text = (
        "WEBVTT - title\nLanguage: DE-ch\n\nSTYLE\n::cue { color: red }\n\nNOTE nobody: reads\n\n"
        "intro\n00:01.000 --> 00:04.000 align:start\n"
        "<v.loud Anna B>Ja, <00:02.000><c.x>klar</c></v>"
        "<v Ben>&lt;Nein&gt;\n\n01:00:00.000 --> 01:00:01.000\n\n"
    )
    transcript = read(text, "a.vtt")
    assert transcript.language == "de"
    assert spoken(transcript) == [
        (1.0, 4.0, "Anna B", "Ja, klar"),
        (1.0, 4.0, "Ben", "<Nein>"),
    ]


def test_a_name_in_front_is_a_speaker_if_it_comes_back(read):
    cue = "00:00:0{0} --> 00:00:0{0}\n{1}\n\n"
    lines = ["Zoë: hi", "Note: this is not a name", "Zoë: bye"]
    text = "".join(cue.format(number, line) for number, line in enumerate(lines))
    assert [(s.speaker, s.text) for s in read(text, "a.srt").segments] == [
        ("Zoë", "hi"),
        ("", "Note: this is not a name"),
        ("Zoë", "bye"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(read, encoding):
    assert read("Grüße aus Köln".encode(encoding), "a.txt").text == "Grüße aus Köln"


def test_cues_are_put_in_order(read):
    text = "00:09 --> 00:10\nlater\n\n00:01 --> 00:02\nsooner\n"
    assert read(text, "a.vtt").text == "sooner\nlater"


def test_text_gets_estimated_times(read):
    assert spoken(read("Ann: One two. Three!\n\n[00:01:00] Ann: Four\n", "a.txt")) == [
        (0.0, 0.8, "Ann", "One two."),
        (0.8, 1.2, "Ann", "Three!"),
        (60.0, 60.4, "Ann", "Four"),
    ]


def test_whisper_and_its_relatives(read):
    plain = {"segments": [{"id": 0, "start": 1, "end": 2, "text": " hi", "tokens": [1]}]}
    assert spoken(read(json.dumps(plain), "a.json")) == [(1.0, 2.0, "", "hi")]
    assert spoken(read(json.dumps(plain["segments"]), "a.json")) == [(1.0, 2.0, "", "hi")]

    api = {**plain, "language": "german", "duration": 8.5}
    transcript = read(json.dumps(api), "a.json")
    assert (transcript.language, transcript.duration) == ("de", 8.5)

    words = [{"word": "in", "start": 1.0, "end": 1.2}, {"word": "1984"}]
    whisperx = {
        "segments": [{"start": 1, "end": 2, "text": "in 1984", "words": words, "speaker": 1}]
    }
    (segment,) = read(json.dumps(whisperx), "a.json").segments
    assert segment == Segment(
        1.0, 2.0, "in 1984", "1", (Word("in", 1.0, 1.2), Word("1984", 1.2, 1.2))
    )

    cpp = {
        "result": {"language": "en"},
        "transcription": [{"offsets": {"from": 500, "to": 1500}, "text": " Well."}],
    }
    transcript = read(json.dumps(cpp), "a.json")
    assert (transcript.language, spoken(transcript)) == ("en", [(0.5, 1.5, "", "Well.")])
    assert read('{"segments": []}', "a.json").segments == ()


def test_the_studio_reads_its_own_files(read):
    made = Transcript("Gruß", "de", (Segment(0.5, 1.0, "Hallo", "Anna", ()),), 3.0, "json")
    assert read(made.to_json(), "other.json") == made


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"", "a.srt", "empty"),
        (b" \n\t", "a.txt", "empty"),
        (b"\xef\xbb\xbf \r\n", "a.txt", "no text"),
        (b"RIFF\0\0\0\0WAVEfmt ", "a.txt", "is not text"),
        (b"\x89PNG\r\n\x1a\n\0\0", "a.srt", "is not text"),
        (b"nothing here", "a.srt", "no cue"),
        (b"WEBVTT\n\n", "a.vtt", "no cue"),
        (b"{", "a.json", "not Whisper's JSON"),
        (b"{}", "a.json", "no 'segments'"),
        (b"3", "a.json", "not Whisper's JSON"),
        (b'{"segments": [{"start": "x"}]}', "a.json", r"segments\[0\].start"),
        (b"[" * 100_000, "a.json", "not Whisper's JSON"),
        (b'{"x":' * 100_000, "a.json", "not Whisper's JSON"),
        (b"x" * 20_001, "a.txt", "20000 characters"),
        (b"a\n" * 200_001, "a.txt", "200000 segments"),
        (b"[" + b"{}," * 200_001 + b"{}]", "a.json", "200000 segments"),
        (b"0:0:1 --> 0:0:1\na\n\n" * 200_001, "a.srt", "200000 segments"),
        (b"hi", "a.mp3", "'.mp3'"),
        (b"hi", "noname", "transcripts are .json, .srt, .txt, .vtt"),
    ],
)
def test_what_cannot_be_read_is_said_clearly(read, content, name, words):
    with pytest.raises(UnreadableFile, match=words):
        read(content, name)


def test_sizes_and_missing_files(tmp_path):
    path = tmp_path / "large.txt"
    path.touch()
    with path.open("r+b") as file:
        file.truncate(MAX_TRANSCRIPT_BYTES + 1)
        file.write(b"a")
    with pytest.raises(UnreadableFile, match="more than 20 MB"):
        read_transcript(path)
    with pytest.raises(UnreadableFile, match="No such file"):
        read_transcript(tmp_path / "none.srt")


def test_only_the_base_name_is_used(read):
    assert read("hi", "../../😀.txt").title == "😀"
    with pytest.raises(UnreadableFile, match=r"^'😀' cannot be read as srt"):
        read("hi", "../../😀.srt")


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["<v ", "<v" + " " * 999, "<a", "{\\", "0:0:0 --> ", "a: ", "&"])
def test_no_input_takes_for_ever(read, unit):
    text = "0:01 --> 0:02\n" + unit * (2_000_000 // len(unit))
    for name in ("a.srt", "a.vtt", "a.txt"):
        before = time.thread_time()  # of the processor: whatever else the machine does
        with contextlib.suppress(UnreadableFile):
            read(text, name)
        assert time.thread_time() - before < 10  # quadratic work would take minutes


PIECES = st.sampled_from(
    [
        *(
            "WEBVTT",
            "\n",
            "\n\n",
            "1",
            "00:00:01,000",
            " --> ",
            "99:99:99.999",
            "<v A>",
            "</v>",
            "A: ",
        ),
        *(
            "{",
            "}",
            "[",
            "]",
            '"segments"',
            ":",
            ",",
            '"start"',
            "1e308",
            "-1",
            "null",
            '"text"',
            '"x"',
        ),
        *("[00:01] ", "\ud7ff", "\u202e", "&lt;", "&#xD800;", "&#0;", "\\ud800", "\x0c", "\u2028"),
    ]
)
KEYS = st.sampled_from(["segments", "start", "end", "text", "words", "word", "speaker", "offsets"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
)


@settings(max_examples=600, deadline=None)
@given(
    content=st.binary(max_size=300)
    | st.lists(PIECES, max_size=30).map(lambda pieces: "".join(pieces).encode())
    | JSON.map(lambda value: json.dumps({"segments": value}).encode()),
    name=st.sampled_from(["a.srt", "b.vtt", "c.txt", "d.json"]) | st.text(max_size=20),
)
@example(content=b"\xff\xfe\x00\xd8", name="a.txt")
@example(content=b"0:01 --> 0:02\n&#xD800;&#0;x", name="a.vtt")
def test_any_bytes_are_a_transcript_or_unreadable(tmp_path_factory, content, name):
    path = tmp_path_factory.mktemp("any") / "upload"
    path.write_bytes(content)
    try:
        transcript = read_transcript(path, name=name)
    except UnreadableFile:
        return
    assert all(0 <= segment.start <= segment.end for segment in transcript.segments)
    assert all(segment.text.strip() for segment in transcript.segments)
    assert Transcript.from_json(transcript.to_json()) == transcript
