"""Words of texts: the quicker pattern for ASCII finds what the other one finds."""

from hypothesis import example, given
from hypothesis import strategies as st

from semsearch.text import tokens

_PIECES = st.sampled_from(["don't", "_", "'", "a1", "'s", " ", "9'x", "'_a", "A'b'c"])


@given(st.one_of(st.text(st.characters(max_codepoint=127)), st.lists(_PIECES).map("".join)))
@example("rock'n'roll o'5 it's_mine")
def test_words_of_ascii_are_those_of_any_text(text: str) -> None:
    places = [found.span() for found in tokens._ASCII_WORD.finditer(text)]
    assert places == [found.span() for found in tokens._WORD.finditer(text)]
