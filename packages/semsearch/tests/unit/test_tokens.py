"""Words of texts."""

import pytest

from semsearch.text.tokens import stems


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        ("The tides, TIDE'S and x-ray 3", "en", ["tide", "tide", "x", "ray", "3"]),
        (
            "\u6f6e\u6c50\u8868",
            "en",
            ["\u6f6e", "\u6f6e\u6c50", "\u6c50", "\u6c50\u8868", "\u8868"],
        ),
        ("\u6f6e", "en", ["\u6f6e"]),
        ("\uff34\uff49\uff44\uff45", "en", ["tide"]),
        ("die H\u00e4user", "de", ["haus"]),
        ("a" * 64, "en", ["a" * 64]),
        ("a" * 65, "en", []),
        ("_ -- '", "en", []),
    ],
)
def test_stems(text: str, language: str, found: list[str]) -> None:
    assert stems(text, language) == found
