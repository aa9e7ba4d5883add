"""Passages around the words of a query."""

import pytest

from semsearch.text.highlights import highlights
from semsearch.text.spotting import Spotter

TIDE = Spotter({"tide"}, "en")


def test_long_sentences_are_cut_between_words() -> None:
    text = f"{'before ' * 60}the tides {'after ' * 60}".strip()
    [passage] = highlights(text, TIDE)
    assert passage.startswith("…before before")
    assert passage.endswith("after after…")
    assert "the <mark>tides</mark> after" in passage
    assert len(passage.replace("<mark>", "").replace("</mark>", "")) <= 242


@pytest.mark.parametrize("text", ["x" * 500 + " tide " + "y" * 500, "tide " + "y" * 500])
def test_where_there_are_no_spaces(text: str) -> None:
    [passage] = highlights(text, TIDE)
    assert "<mark>tide</mark>" in passage
    assert passage.endswith("…")


def test_short_sentences_are_whole() -> None:
    found = highlights("High tide. Nothing. The tides rise & fall.", TIDE)
    assert found == ["High <mark>tide</mark>.", "The <mark>tides</mark> rise &amp; fall."]


def test_words_are_found_by_their_stems_whatever_is_between() -> None:
    spotter = Spotter({"tide", "\u6f6e"}, "en")
    text = "Tides, tide's; TIDAL \u6f6e\u6c50 bTIDE \uff34\uff49\uff44\uff45 " + "z" * 70
    marked = [text[start:end] for start, end in spotter.spans(text)]
    assert marked == ["Tides", "tide's", "\u6f6e", "\uff34\uff49\uff44\uff45"]
