import msgspec
import pytest

from transcript_studio.segments import MAX_CHARACTERS, MAX_SECONDS, segments_from_words
from transcript_studio.transcript import Segment, Transcript, Word

WORDS = (Word("guten", 0.0, 0.4), Word("Tag", 0.5, 0.9))
TRANSCRIPT = Transcript(
    "Gruß", "de", (Segment(0.0, 0.9, "Guten Tag", "Anna", WORDS), Segment(2, 3, "x")), 4.5, "vtt"
)


def test_plain_and_json_forms_come_back_equal():
    assert Transcript.from_dict(TRANSCRIPT.to_dict()) == TRANSCRIPT
    assert Transcript.from_json(TRANSCRIPT.to_json()) == TRANSCRIPT


def test_text_and_speakers():
    assert TRANSCRIPT.text == "Guten Tag\nx"
    assert TRANSCRIPT.speakers == ("Anna",)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"title": 3}', b'{"title": "a", "segments": [{}]}'])
def test_foreign_json_is_refused(data):
    with pytest.raises(msgspec.DecodeError):
        Transcript.from_json(data)


def spoken(count, gap=0.0, length=0.3):
    return [Word("word", i * (length + gap), i * (length + gap) + length) for i in range(count)]


def test_a_pause_ends_a_segment():
    words = [Word("yes", 0, 0.5), Word("i", 1.0, 1.1), Word("do", 1.1, 1.3)]
    texts = [segment.text for segment in segments_from_words(words)]
    assert texts == ["Yes", "I do"]


@pytest.mark.parametrize("words", [spoken(1), spoken(400), spoken(50, length=2.0), spoken(0)])
def test_segments_stay_short_and_lose_nothing(words):
    segments = list(segments_from_words(words))
    assert [word for segment in segments for word in segment.words] == words
    assert all(len(segment.text) <= MAX_CHARACTERS for segment in segments)
    assert all(segment.end - segment.start <= MAX_SECONDS for segment in segments)
    assert all(segment.text[0].isupper() for segment in segments)


def test_a_long_segment_is_divided_at_its_widest_gap():
    words = spoken(24)
    later = [Word(w.word, w.start + 0.2, w.end + 0.2) for w in words[10:]]
    first, second = segments_from_words(words[:10] + later)
    assert (len(first.words), len(second.words)) == (10, 14)


def test_a_word_longer_than_a_line_stays_whole():
    (segment,) = segments_from_words([Word("a" * 200, 0, 1)])
    assert len(segment.text) == 200
