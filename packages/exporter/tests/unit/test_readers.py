"""Reading files: ours come back exactly, others' as they are meant."""

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import (
    Citation,
    Document,
    ExportService,
    InvalidSource,
    Section,
    Segment,
    StorageError,
    Table,
    export_to,
    read_document,
)
from exporter.readers import _csv, _subtitles
from exporter.registry import FORMATS
from exporter.sources import Flow
from exporter.testing import render


def records(document: Document) -> list[Any]:
    flow = Flow(document.kind, lambda _: None)
    return [record for item in document.records for record in flow.records(item)]


TALK = [
    Segment("Hello there.", 0.0, 1.5, "Ann"),
    Segment("=not a formula", 1.5, 2.25, "Ann"),
    Segment("a\nb & <c>", 3.0, 4.125, "Bob"),
]


@pytest.mark.parametrize("format", ["json", "jsonl", "csv"])
def test_a_talk_comes_back(format: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{format}"
    ExportService().export_to(path, Document("Title", "transcript", TALK, language="en"))
    found = read_document(path)
    assert found.kind == "transcript"
    assert records(found) == TALK
    if format != "csv":
        assert (found.title, found.language) == ("Title", "en")


@pytest.mark.parametrize("format", ["srt", "vtt"])
def test_subtitles_come_back(format: str, tmp_path: Path) -> None:
    path = tmp_path / f"my_talk.{format}"
    talk = [Segment(s.text, s.start, s.end, s.speaker if format == "vtt" else None) for s in TALK]
    ExportService().export_to(path, Document("Title", "transcript", talk))
    found = read_document(path)
    assert found.title == "my talk"
    back = [(s.text, s.start, s.end) for s in records(found)]
    assert back == [(s.text, s.start, s.end) for s in talk]
    if format == "vtt":
        assert [s.speaker for s in records(found)] == ["Ann", "Ann", "Bob"]


def test_the_other_kinds_come_back(tmp_path: Path) -> None:
    for number, (kind, items) in enumerate(
        {
            "summary": [Section("A", "text", ("p", "q"), 2)],
            "rag": [
                Section("Question", "Q", role="question"),
                Section("Answer", "A", role="answer"),
                Citation("t", "x", "http://e", 0.5, 3),
            ],
            "custom": [Table(["a", "b"], [["x", 1], ["y", None]])],
        }.items()
    ):
        path = tmp_path / f"{number}.json"
        ExportService().export_to(path, Document("T", kind, items))  # type: ignore[arg-type]
        found = read_document(path)
        assert found.kind == kind
        if kind == "custom":
            assert [list(each.cells) for each in records(found)[1:]] == [["x", 1], ["y", None]]
        else:
            assert records(found) == items


def test_whisper_and_whisperx(tmp_path: Path) -> None:
    whisper = {
        "text": " Hello. Bye.",
        "language": "en",
        "segments": [
            {
                "id": 0,
                "seek": 0,
                "start": 0.0,
                "end": 1.2,
                "text": " Hello.",
                "tokens": [1],
                "temperature": 0.0,
                "words": [{"word": " Hello.", "start": 0.1, "end": 0.9, "probability": 0.9}],
            }
        ],
    }
    (tmp_path / "w.json").write_text(json.dumps(whisper))
    found = read_document(tmp_path / "w.json")
    [segment] = records(found)
    assert (segment.text, segment.start, segment.words[0].start) == ("Hello.", 0.0, 0.1)
    assert found.language == "en"
    whisperx = {
        "segments": [
            {
                "start": 0,
                "end": 2,
                "text": " In 2024.",
                "speaker": "SPEAKER_00",
                "words": [{"word": "In", "start": 0, "end": 1}, {"word": "2024."}],
            }
        ],
        "word_segments": [],
    }
    (tmp_path / "x.json").write_text(json.dumps(whisperx))
    [segment] = records(read_document(tmp_path / "x.json"))
    assert (segment.speaker, segment.words) == ("SPEAKER_00", ())
    (tmp_path / "text.json").write_text(json.dumps({"text": "only", "segments": None}))
    assert [s.text for s in records(read_document(tmp_path / "text.json"))] == ["only"]


def test_json_as_python_writes_it(tmp_path: Path) -> None:
    """Half of a pair of surrogates, and numbers that are none, are more than JSON has words for."""
    talk = {"segments": [
        {"text": "\ud800 half", "start": 0.0, "end": 1.0, "avg_logprob": math.nan},
        {"text": "b", "start": math.nan, "end": math.inf},
    ]}  # fmt: skip
    (tmp_path / "x.json").write_text(json.dumps(talk))
    lines = "\n".join(json.dumps(each) for each in talk["segments"])
    (tmp_path / "x.jsonl").write_text(lines)
    for name in ("x.json", "x.jsonl"):
        out = io.BytesIO()
        export_to(out, read_document(tmp_path / name), "json", include_metadata=False)
        assert json.loads(out.getvalue())["segments"] == [
            {"start": 0.0, "end": 1.0, "text": "\ufffd half"},
            {"start": None, "end": None, "text": "b"},
        ]


def test_subtitles_of_others() -> None:
    srt = (
        "\ufeff1\r\n00:00:01,000 --> 00:00:02,000 X1:0\r\nHello\r\n42\r\n\r\n"
        "2\r\n00:00:03,000 --> 00:00:04,000\r\n\r\n3\r\n0:0:5.5 --> 0:0:6.5\r\nlast"
    )
    found = [(s.start, s.end, s.text) for s in _subtitles(srt.removeprefix("\ufeff")).records]
    assert found == [(1.0, 2.0, "Hello\n42"), (3.0, 4.0, ""), (5.5, 6.5, "last")]
    vtt = (
        "WEBVTT - title\n\nSTYLE\n::cue{}\n\nNOTE x\n\nintro\n00:01.000 --> 00:02.000 align:start\n"
        "<v.loud Ann &amp; Co><i>Hi</i> &lt;there&gt;</v>\n\nNOTE between\n\n"
        "id-2\n00:03.000 --> 00:04.000\nBye\n"
    )
    found = [(s.start, s.text, s.speaker) for s in _subtitles(vtt).records]
    assert found == [(1.0, "Hi <there>", "Ann & Co"), (3.0, "Bye", None)]


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        ("Hello <i>there</i>", "Hello there"),
        ('{\\an8}Top\n<FONT color="#ffff00">yellow</FONT>', "Top\nyellow"),
        ("a <b>b</b> <u>c</u>", "a b c"),
        ("a < b, c > d, <3, <name>, {x}", "a < b, c > d, <3, <name>, {x}"),
        ("<\u00a0i>said</i>", "<i>said"),
    ],
)
def test_looks_in_srt_are_not_text(shown: str, text: str) -> None:
    [cue] = _subtitles(f"1\n00:00:01,000 --> 00:00:02,000\n{shown}\n").records
    assert cue.text == text


def test_text_that_looks_like_markup_comes_back() -> None:
    said = "<i>x</i> {\\an8} <font a> </b>"
    out = io.BytesIO()
    export_to(out, Document("", "transcript", [Segment(said, 0.0, 2.0)]), "srt")
    assert [cue.text for cue in _subtitles(out.getvalue().decode()).records] == [said]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("x.json", b"{", "not JSON"),
        ("x.json", b"5", "JSON holds int"),
        ("x.json", b"", "not JSON"),
        ("x.json", b"[" * 200_000, "not JSON"),
        ("x.jsonl", b'{"a":1}\nx', "line 2 is not JSON"),
        ("x.srt", b"hello", "no cues"),
        ("x.csv", b"a,b\n1", "line 2"),
        ("x.csv", b'a\n"x', "not CSV"),
        ("x.txt", b"", "cannot read 'txt'"),
        ("noext", b"", "without extension"),
        ("x.srt", b"\xff\xfe", "not UTF-8"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InvalidSource, match=words):
        read_document(tmp_path / name)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        read_document(tmp_path / "x.srt")
    (tmp_path / "empty.srt").write_bytes(b"")
    assert records(read_document(tmp_path / "empty.srt")) == []
    (tmp_path / "empty.csv").write_bytes(b"")
    assert records(read_document(tmp_path / "empty.csv")) == []


_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)


@given(st.lists(st.lists(_TEXT, min_size=2, max_size=2), max_size=8))
def test_tables_come_back_from_csv(rows: list[list[str]]) -> None:
    data, _, _ = render(FORMATS.load("csv"), Document(records=[Table(["a", "b"], rows)]))
    assert [list(each.cells) for each in records(_csv(data.decode()))[1:]] == rows


@given(st.text(max_size=2000), st.sampled_from(["srt", "vtt"]))
def test_any_text_is_read_or_refused(text: str, kind: str) -> None:
    try:
        found = list(_subtitles(("WEBVTT\n\n" if kind == "vtt" else "") + text).records)
    except InvalidSource:
        return
    assert all(isinstance(each, Segment) for each in found)
