"""SRT and VTT: times, lines, overlaps, and text that looks like cues."""

import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import Document, Segment, Word
from exporter.adapters.formats.subtitles import SrtRenderer, VttRenderer
from exporter.adapters.formats.wrapping import grouped, in_one, in_several, wrapped
from exporter.readers import _subtitles
from exporter.settings import SubtitleSettings
from exporter.testing import HOSTILE, render
from exporter.texts import width


def srt(*segments: Segment, cls: Any = SrtRenderer, **rules: Any) -> tuple[str, list[str]]:
    document = Document("T", "transcript", list(segments))
    settings = SubtitleSettings(**rules)
    data, _, notes = render(cls, document, settings=settings, include_metadata=False)
    return data.decode(), notes


def test_milliseconds() -> None:
    text, notes = srt(Segment("a", 0.0005, 1.9996), Segment("b", 3599.9994, 3661.001))
    assert text == (
        "1\n00:00:00,000 --> 00:00:02,000\na\n\n2\n00:59:59,999 --> 01:01:01,001\nb\n\n"
    )
    assert notes == []
    text, _ = srt(Segment("a", 1.0, 2.0, "Ann <b>"), cls=VttRenderer)
    assert text == "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n<v Ann &lt;b&gt;>a\n\n"


def test_speakers_are_named_where_they_change() -> None:
    text, _ = srt(Segment("a", 0, 1, "Ann"), Segment("b", 1, 2, "Ann"), Segment("c", 2, 3, "Bob"))
    assert [row for row in text.split("\n") if row[-1:] in "abc" and row] == [
        "Ann: a",
        "b",
        "Bob: c",
    ]


@pytest.mark.parametrize(
    ("segments", "times", "note"),
    [
        ([("a", 5, 3)], [("00:00:05,000", "00:00:06,000")], "reversed"),
        ([("a", 5, 5)], [("00:00:05,000", "00:00:06,000")], "reversed"),
        ([("a", -3, 1)], [("00:00:00,000", "00:00:01,000")], "negative"),
        ([("a", None, None)], [("00:00:00,000", "00:00:01,000")], "missing start"),
        ([("a", 1, None)], [("00:00:01,000", "00:00:02,000")], "missing end"),
        (
            [("a", 0, 5), ("b", 3, 6)],
            [("00:00:00,000", "00:00:03,000"), ("00:00:03,000", "00:00:06,000")],
            "overlapping",
        ),
        (
            [("a", 0, 5), ("b", 0, 6)],
            [("00:00:00,000", "00:00:05,000"), ("00:00:00,000", "00:00:06,000")],
            "begin together",
        ),
        (
            [("a", 4, 5), ("b", 1, 2)],
            [("00:00:04,000", "00:00:05,000"), ("00:00:01,000", "00:00:02,000")],
            "not in the order",
        ),
        ([("a", float("nan"), float("inf"))], [("00:00:00,000", "00:00:01,000")], "no numbers"),
        ([("", 0, 1), (" \n ", 1, 2), ("b", 2, 3)], [("00:00:02,000", "00:00:03,000")], "empty"),
        ([("a", 360_000, 360_001)], [("100:00:00,000", "100:00:01,000")], "100 hours"),
    ],
)
def test_times_that_need_mending(segments: Any, times: Any, note: str) -> None:
    text, notes = srt(*(Segment(*each) for each in segments))
    found = [tuple(row.split(" --> ")) for row in text.split("\n") if " --> " in row]
    assert found == times
    assert any(note in each for each in notes), notes


def test_long_segments_become_several_cues_by_word_times() -> None:
    words = [Word(f"word{n:02d}", n * 1.0, n + 0.8) for n in range(20)]
    text = " ".join(word.text for word in words)
    found, _ = srt(Segment(text, 0.0, 20.0, None, words))
    cues = found.strip().split("\n\n")
    assert len(cues) == 2
    for cue in cues:
        _, times, *rows = cue.split("\n")
        assert len(rows) <= 2
        assert all(len(row) <= 42 for row in rows)
        first = int(rows[0].split()[0].removeprefix("word"))
        assert times.startswith(f"00:00:{first:02d},000")
    assert " ".join(found.split()).count("word") == 20


def test_word_times_hold_with_a_speaker_before_them() -> None:
    words = [Word(f"word{n:02d}", n * 1.0, n + 0.8) for n in range(30)]
    text = " ".join(word.text for word in words)
    for rules in ({}, {"max_lines": 1}, {"speakers": False}, {"max_line_length": 20}):
        for cls in (SrtRenderer, VttRenderer):
            found, _ = srt(Segment(text, 0.0, 30.0, "Ann B.", words), cls=cls, **rules)
            cues = [cue.split("\n") for cue in found.split("\n\n") if "-->" in cue]
            for lines in cues[1:]:
                at = next(n for n, row in enumerate(lines) if "-->" in row)
                first = lines[at + 1].partition(">")[2] if cls is VttRenderer else lines[at + 1]
                number = int((first or lines[at + 1]).split()[0].removeprefix("word"))
                assert lines[at].startswith(f"00:00:{number:02d}"), (rules, cls)


def test_every_cue_of_vtt_has_its_voice() -> None:
    text, _ = srt(
        Segment("a", 0, 1, "Ann"), Segment("b " * 80, 1, 2, "Ann"), Segment("c", 2, 3),
        cls=VttRenderer,
    )  # fmt: skip
    found = list(_subtitles(text).records)
    assert {each.speaker for each in found[:-1]} == {"Ann"}
    assert (found[-1].text, found[-1].speaker) == ("c", None)
    text, _ = srt(Segment("a", 0, 1, "Ann"), cls=VttRenderer, speakers=False)
    assert "<v" not in text


@pytest.mark.parametrize("words", [False, True])
def test_a_segment_of_several_cues_ends_where_the_next_begins(words: bool) -> None:
    """Its later cues would begin after those of the next."""
    text = "one two three four five six seven eight nine ten " * 6
    spoken = [Word(word, 1.0 + n * 0.2, 1.1 + n * 0.2) for n, word in enumerate(text.split())]
    long = Segment(text, 1.0, 13.0, words=spoken if words else ())
    for cls in (SrtRenderer, VttRenderer):
        made, notes = srt(long, Segment("No!", 4.0, 5.0), cls=cls)
        times = re.findall(r"(\S+) --> (\S+)", made)
        assert len(times) > 3
        assert times[-1][0].endswith("00:04" + cls.point + "000")
        assert [until for _, until in times[:-1]] == [start for start, _ in times[1:]]
        assert notes == ["overlapping cues were cut where the next begins"]
        kept, notes = srt(long, Segment("No!", 4.0, 5.0), cls=cls, overlap="keep")
        assert kept != made
        assert notes == ["overlapping cues were kept"]


def test_overlaps_can_be_kept() -> None:
    text, notes = srt(Segment("a", 0, 5), Segment("b", 3, 6), overlap="keep")
    times = [row for row in text.split("\n") if " --> " in row]
    assert times == ["00:00:00,000 --> 00:00:05,000", "00:00:03,000 --> 00:00:06,000"]
    assert notes == ["overlapping cues were kept"]


@given(
    st.lists(
        st.tuples(
            st.text(alphabet=st.characters(exclude_categories=("C", "Z")), min_size=1).map(
                lambda text: " ".join(text[n : n + 5] for n in range(0, len(text), 5))
            ),
            st.sampled_from([None, "Ann", "Bob <b>", "D\u00f6rte & Co"]),
        ),
        max_size=8,
    )
)
def test_what_was_read_is_written_the_same(items: Any) -> None:
    segments = [Segment(text, n * 3.0, n * 3.0 + 2.125, who) for n, (text, who) in enumerate(items)]
    for cls in (SrtRenderer, VttRenderer):
        first, _ = srt(*segments, cls=cls)
        again, notes = srt(*_subtitles(first).records, cls=cls)
        assert again == first
        assert notes == []


def test_long_segments_without_words_are_shared_out() -> None:
    found, _ = srt(Segment("x" * 500, 10.0, 20.0))
    times = [row.split(" --> ") for row in found.split("\n") if " --> " in row]
    assert times[0][0] == "00:00:10,000"
    assert times[-1][1] == "00:00:20,000"
    assert [end for _, end in times[:-1]] == [start for start, _ in times[1:]]
    assert found.count("x") == 500


def test_a_segment_too_short_for_its_cues_is_made_longer_and_reported() -> None:
    found, notes = srt(Segment("x" * 500, 1.0, 1.001), Segment("y", 2.0, 3.0))
    times = [row.split(" --> ") for row in found.split("\n") if " --> " in row]
    assert times[-2] == ["00:00:01,005", "00:00:01,006"]
    assert all(first < last for first, last in times)
    assert notes == ["segments of less than a millisecond a cue were made longer"]
    assert srt(Segment("x" * 500, 1.0, 1.1))[1] == []


@given(st.text(), st.integers(8, 60))
def test_wrapping_keeps_the_text_and_the_width(text: str, limit: int) -> None:
    rows = wrapped(text, limit)
    assert "".join("".join(rows).split()) == "".join(text.split())
    if text.isprintable():
        assert all(width(row) <= limit for row in rows)


@given(st.text("ab \t", max_size=80), st.integers(8, 20))
def test_plain_text_is_wrapped_like_any_other(text: str, limit: int) -> None:
    """It goes a quicker way: the same text in other letters, as wide, does not."""
    other = text.replace("a", "\u00e4").replace("b", "\u00f6")
    slower = [row.replace("\u00e4", "a").replace("\u00f6", "b") for row in wrapped(other, limit)]
    ours, theirs = (
        [" ".join(row.split()) for row in rows] for rows in (wrapped(text, limit), slower)
    )
    assert [row for row in ours if row] == [row for row in theirs if row]


@given(
    st.lists(st.text("abcdefgh.,,?界、。", min_size=1, max_size=12), min_size=1, max_size=80),
    st.integers(12, 50),
    st.integers(1, 3),
)
def test_groups_keep_the_text_and_their_bounds(words: list[str], limit: int, most: int) -> None:
    text = " ".join(words)
    groups = grouped(text, limit, most)
    assert "".join("".join(map("".join, groups)).split()) == "".join(text.split())
    assert all(0 < len(group) <= most for group in groups)
    assert all(0 < width(row) <= limit for group in groups for row in group)
    fewest = -(-len(wrapped(text, limit)) // most)
    assert fewest <= len(groups) <= fewest + 1


@given(
    st.lists(st.text("abcdefgh.,?", min_size=1, max_size=14), min_size=1, max_size=90),
    st.integers(8, 50),
    st.integers(1, 4),
    st.sampled_from([" ", "  "]),
)
def test_the_short_ways_agree_with_the_long_one(
    words: list[str], limit: int, most: int, space: str
) -> None:
    text = space.join(words)
    cues = ["\n".join(lines) for lines in grouped(text, limit, most)]
    if (one := in_one(text, limit, most)) is not None:
        assert cues == [one]
    elif (several := in_several(text, limit, most)) is not None:
        assert cues == several


def test_most_texts_go_the_short_ways() -> None:
    """Else the property above could hold of nothing."""
    assert in_one("word " * 8 + "word", 42, 2) == "word word word word word word word word\nword"
    assert len(in_several("word " * 39 + "word", 42, 2) or ()) == 3


@pytest.mark.parametrize(
    ("text", "cues"),
    [
        (
            "Let us begin with the new reading room today, and then talk about the money we have.",
            [
                "Let us begin with the new reading room today,",
                "and then talk about the money we have.",
            ],
        ),
        ("word " * 20, ["word " * 10] * 2),
        # the commas are those of Chinese, after which there is no space
        (
            "我们先看阅览室的窗户\uff0c然后再谈钱的问题。" * 3,
            ["我们先看阅览室的窗户\uff0c然后再谈钱的问题。",
             "我们先看阅览室的窗户\uff0c然后再谈钱的问题。" * 2],
        ),
    ],
)  # fmt: skip
def test_no_cue_is_left_with_a_word(text: str, cues: list[str]) -> None:
    found, _ = srt(Segment(text, 0.0, 9.0))
    space = " " if text.isascii() else ""
    shown = [space.join(cue.split("\n")[2:]) for cue in found.strip().split("\n\n")]
    assert shown == [each.strip() for each in cues]


def test_text_without_end_is_cut_in_no_time() -> None:
    """A mistake here would be quadratic: a megabyte would take minutes."""
    text = "word " * 200_000
    assert sum(map(len, grouped(text, 42, 2))) >= len(wrapped(text, 42))


def test_wide_characters_count_twice() -> None:
    assert [len(row) for row in wrapped("界" * 50, 42)] == [21, 21, 8]


@pytest.mark.parametrize("cls", [SrtRenderer, VttRenderer])
def test_hostile_text_makes_no_cues(cls: Any) -> None:
    segments = [Segment(text, n * 3.0, n * 3.0 + 2) for n, text in enumerate(HOSTILE)]
    text, _ = srt(*segments, cls=cls, max_line_length=1000, max_lines=20)
    found = list(_subtitles(text).records)
    spoken = [each for each in segments if each.text.strip()]
    assert [each.start for each in found] == [each.start for each in spoken]


# spoken text that looks like a cue: newer releases (PossibleMissedSubtitleWarning) tell of it
@pytest.mark.filterwarnings("ignore:Possible missed subtitle")
@pytest.mark.parametrize(("cls", "kind"), [(SrtRenderer, "srt"), (VttRenderer, "vtt")])
def test_read_back_by_pysubs2(cls: Any, kind: str) -> None:
    pysubs2 = pytest.importorskip("pysubs2")
    segments = [Segment(text, n * 3.0, n * 3.0 + 2.125) for n, text in enumerate(HOSTILE)]
    text, _ = srt(*segments, cls=cls, max_line_length=1000, max_lines=20)
    found = list(pysubs2.SSAFile.from_string(text, kind))
    spoken = [each for each in segments if each.text.strip()]
    assert [(e.start, e.end) for e in found] == [
        (round(s.start * 1000), round(s.end * 1000)) for s in spoken
    ]
    from html import unescape

    from exporter.texts import clean

    for event, segment in zip(found, spoken, strict=True):
        read = event.text.replace("\\N", "\n")
        read = unescape(read) if kind == "vtt" else read
        assert "".join(read.split()) == "".join(clean(segment.text).split())


@pytest.mark.filterwarnings("ignore:Possible missed subtitle")
@pytest.mark.parametrize(("cls", "kind"), [(SrtRenderer, "srt"), (VttRenderer, "vtt")])
@pytest.mark.parametrize(
    "text",
    [
        "\u0660:\u0660\u0660:\u0660\u0661,\u0660\u0660 \u0660:\u0660\u0660:\u0660\u0662,\u0660",
        "00:00:07,000 \u0660\u0660:\u0660\u0660:\u0660\u0661.\u0665\u0660",
        "\u0967:\u0968:\u0969.\u096a 1:2:3.4",
        "ends in a number\n\u0664\u0662",
        "ends in a number\n \uff14\uff12",
    ],
)
def test_digits_of_other_scripts_make_no_cues(cls: Any, kind: str, text: str) -> None:
    pysubs2 = pytest.importorskip("pysubs2")
    made, _ = srt(Segment(text, 1.0, 2.0), Segment("next", 2.0, 3.0), cls=cls)
    first, second = pysubs2.SSAFile.from_string(made, kind)
    assert (first.start, first.end, second.start, second.end) == (1000, 2000, 2000, 3000)
    assert "".join(first.text.replace("\\N", " ").split()) == "".join(text.split())
    assert second.text == "next"


NAMES = (
    "a --", "-->", "x-->y", "00:00:01.000 00:00:09.000", "at 00:00:05,000", "1:2:3.4",
    "1\n00:00:01,000 --> 00:00:02,000\nforged", "<v Bob>", "</v>", "a&b", "NOTE", "\ud800", "5",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:Possible missed subtitle")
@pytest.mark.parametrize("text", ["hello", "00:00:07.000 he said", "--> x"])
@pytest.mark.parametrize(("cls", "kind"), [(SrtRenderer, "srt"), (VttRenderer, "vtt")])
def test_hostile_names_make_no_cues(cls: Any, kind: str, text: str) -> None:
    """A name and the text after it stand in one line, which must not look like times."""
    pysubs2 = pytest.importorskip("pysubs2")
    segments = [Segment(text, n * 3.0, n * 3.0 + 2, name) for n, name in enumerate(NAMES)]
    made, _ = srt(*segments, cls=cls, max_line_length=1000, max_lines=20)
    found = list(pysubs2.SSAFile.from_string(made, kind))
    assert [(e.start, e.end) for e in found] == [(n * 3000, n * 3000 + 2000) for n in range(13)]
    times = re.compile(r"(?:\d+:)?\d\d:\d\d[.,]\d{3} --> (?:\d+:)?\d\d:\d\d[.,]\d{3}")
    assert all(times.fullmatch(row) for row in made.split("\n") if "-->" in row)
    assert len(made.rstrip("\n").split("\n\n")) == len(NAMES) + (kind == "vtt")


@given(
    st.lists(
        st.tuples(
            st.text(max_size=80),
            st.one_of(st.none(), st.floats(-10, 1e6)),
            st.one_of(st.none(), st.floats(-10, 1e6)),
        ),
        max_size=12,
    )
)
def test_any_input_is_a_valid_file(items: Any) -> None:
    for cls in (SrtRenderer, VttRenderer):
        text, _ = srt(*(Segment(*each) for each in items), cls=cls)
        rows = io.StringIO(text)
        for row in rows:
            if "-->" in row:
                begin, end = (_ms(part) for part in row.split("-->"))
                assert begin < end
                assert rows.readline().strip()


def _ms(text: str) -> int:
    hours, minutes, rest = text.strip().split(":")
    seconds, ms = rest.replace(".", ",").split(",")
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(ms)
