import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcript_studio.names import kept_name, language_hint, safe_title, suffix_of


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("../../😀.wav", "😀"),
        ("..\\..\\windows\\talk.srt", "talk"),
        ("/etc/passwd", "passwd"),
        ("product_meeting.wav", "product meeting"),
        ("podcast.en.srt", "podcast"),
        ("notes v1.2", "notes v1.2"),
        ("family 👨‍👩‍👧.vtt", "family 👨‍👩‍👧"),
        ("gnp\u202eexe.txt", "gnpexe"),
        ("a\0b\n\x1b[31m.txt", "ab [31m"),
        ("..", "Untitled"),
        (".wav", "Untitled"),
        ("", "Untitled"),
        ("/", "Untitled"),
        ("\udcff.wav", "Untitled"),
        ("x" * 500 + ".wav", "x" * 120),
    ],
)
def test_a_title_is_made_of_the_base_name(name, title):
    assert safe_title(name) == title


@given(st.text(max_size=300))
def test_a_title_is_one_short_encodable_line(name):
    title = safe_title(name)
    assert 0 < len(title) <= 120
    assert title.encode()
    assert "/" not in title
    assert "\\" not in title
    assert len(title.splitlines()) == 1


def test_kind_and_language():
    assert suffix_of("A.B/Talk.WAV") == ".wav"
    assert suffix_of("talk") == ""
    assert language_hint("talk.de.srt") == "de"
    assert language_hint("talk.pt-br.vtt") == "pt"
    assert language_hint("talk.final.srt") == "und"
    assert language_hint("talk") == "und"


@given(st.text(max_size=300), st.sampled_from([".txt", ".en.srt", ".de-CH.vtt", ".wave"]))
def test_of_a_long_name_kind_and_language_are_kept(stem: str, end: str) -> None:
    name = stem + end
    kept = kept_name(name)
    assert len(kept) <= 200
    assert suffix_of(kept) == suffix_of(name)
    assert language_hint(kept) == language_hint(name)
    assert kept_name(kept) == kept
