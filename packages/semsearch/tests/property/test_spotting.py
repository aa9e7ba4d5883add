"""Words found by pieces between blanks are those found by looking at every run of letters."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from semsearch.text import spotting
from semsearch.text.spotting import Spotter
from semsearch.text.tokens import stem_of, words_in, words_of

_TERMS = {"tide", "sea", "s", "潮", "don", "don't", "1", "ﬁn", "fin"}
_WORDS = ["tide", "tides", "Tide's", "sea", "the", "don't", "ﬁn", "潮の", "\u3300", "x" * 70, "1"]
_BETWEEN = [" ", "  ", "\n", "\t", "\r\n", "\u2028", "\x00", ",", "-", "_", "'", "\u2019s"]
_PARTS = st.sampled_from([*_WORDS, *_BETWEEN])


def _naive(text: str, language: str) -> list[tuple[int, int]]:
    return [
        (run.start() + first, run.start() + last)
        for run in words_in(text).finditer(text)
        for word, first, last in words_of(run[0])
        if stem_of(word, language) in _TERMS
    ]


@pytest.mark.parametrize("language", ["en", "ja"])
@given(st.one_of(st.lists(_PARTS, max_size=40).map("".join), st.text()))
@example("tide,tides tide\nthe tide")
@example(" tide  sea ")
def test_the_same_places(language: str, text: str) -> None:
    spotter = Spotter(_TERMS, language)
    assert spotter.spans(text) == _naive(text, language)
    assert spotter.spans(text) == _naive(text, language)  # what is known by now says the same


@given(st.lists(_PARTS, max_size=60).map("".join), st.integers(1, 9))
def test_portions_of_long_texts_fit_together(text: str, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spotting, "_PORTION", size)
        assert Spotter(_TERMS, "en").spans(text) == _naive(text, "en")


@given(st.text(alphabet="潮のseaﾃ", min_size=70, max_size=200))
def test_long_runs_without_blanks(text: str) -> None:
    assert Spotter(_TERMS, "ja").spans(text) == _naive(text, "ja")


@pytest.mark.parametrize("unit", ["tide ", "tide,", "tide\n", "潮の"])
def test_no_more_places_than_are_shown(unit: str) -> None:
    """A text of ten million characters may match at each of them."""
    text = unit * 30_000
    found = Spotter(_TERMS, "en").spans(text)
    assert spotting._MOST <= len(found) < 3 * spotting._MOST
    assert found == _naive(text, "en")[: len(found)]
