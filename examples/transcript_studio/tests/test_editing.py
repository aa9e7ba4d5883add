import pytest

from transcript_studio.editing import Edit, edited, revision_of
from transcript_studio.errors import BadEdit
from transcript_studio.transcript import Segment, Transcript, Word

TRANSCRIPT = Transcript(
    "talk",
    "en",
    (
        Segment(0.0, 1.0, "Helo there", "Ann", (Word("Helo", 0.0, 0.5), Word("there", 0.5, 1.0))),
        Segment(1.0, 2.0, "Hi", "Bob", (Word("Hi", 1.0, 2.0),)),
        Segment(2.0, 3.0, "What"),
    ),
    3.0,
    "json",
)


def change(**fields):
    return edited(TRANSCRIPT, Edit(revision=revision_of(TRANSCRIPT), **fields))


def test_title_texts_and_speakers_change_and_nothing_else():
    found = change(
        title=" New\ntitle ", texts={0: "Hello there"}, speakers={"Ann": "Anna", "": "Cy"}
    )
    assert found.title == "New title"
    assert [(s.text, s.speaker) for s in found.segments] == [
        ("Hello there", "Anna"), ("Hi", "Bob"), ("What", "Cy"),
    ]  # fmt: skip
    assert [len(s.words) for s in found.segments] == [0, 1, 0]
    assert (found.language, found.duration, found.source) == ("en", 3.0, "json")
    assert revision_of(found) != revision_of(TRANSCRIPT)


def test_names_can_be_swapped():
    found = change(speakers={"Ann": "Bob", "Bob": "Ann"})
    assert [s.speaker for s in found.segments] == ["Bob", "Ann", ""]


def test_the_same_text_keeps_its_words():
    assert change(texts={0: "Helo there"}) == TRANSCRIPT


@pytest.mark.parametrize(
    "fields",
    [
        {"title": " "},
        {"title": "x" * 121},
        {"texts": {0: "\u200b"}},
        {"texts": {1: "x" * 5_001}},
        {"texts": {3: "x"}},
        {"texts": {-1: "x"}},
        {"speakers": {"Zoe": "Ann"}},
        {"speakers": {"Ann": ""}},
    ],
)
def test_what_cannot_be_changed_is_refused(fields):
    with pytest.raises(BadEdit):
        change(**fields)
