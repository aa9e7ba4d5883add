"""Expansion by the first hits: the figures of RM3 and Rocchio, by hand."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from semsearch import ConfigurationError
from semsearch.adapters.feedback import FeedbackExpander
from semsearch.ports import Feedback

SALIENT = {"a": {"moon": 3.0, "tide": 1.0}, "b": {"moon": 1.0, "ebb": 4.0}}
ROWS = np.array([[1, 0], [0, 1]], np.float32)


async def test_words_and_vector() -> None:
    asked: list[tuple[list[str], int]] = []

    async def salient(ids: Sequence[str], limit: int) -> Mapping[str, float]:
        asked.append((list(ids), limit))
        return SALIENT[ids[0]]

    expander = FeedbackExpander(words=2, word_weight=0.4, vector_weight=0.5, decay=0.5)
    query = np.array([1, 0], np.float32)
    made = await expander.expand({"tide": 2.0}, query, Feedback(["a", "b"], ROWS, salient))
    assert asked == [(["a"], 6), (["b"], 6)]
    # documents count 2/3 and 1/3: moon 7/3, ebb 4/3, tide 2/3; the two best share 0.4 / 0.6 of 2
    assert made.terms == {
        "tide": 2.0,
        "moon": pytest.approx(4 / 3 * 7 / 11),
        "ebb": pytest.approx(4 / 3 * 4 / 11),
    }
    moved = np.array([1 + 0.5 * 2 / 3, 0.5 / 3])
    assert made.vector == pytest.approx(moved / np.linalg.norm(moved))


async def test_without_hits_or_words_the_query_stays() -> None:
    async def salient(ids: Sequence[str], limit: int) -> Mapping[str, float]:
        return {}

    query = np.array([1, 0], np.float32)
    none = await FeedbackExpander().expand({"tide": 1.0}, query, Feedback([], ROWS[:0], salient))
    assert (none.terms, none.vector is query) == ({"tide": 1.0}, True)
    mute = await FeedbackExpander().expand({"tide": 1.0}, query, Feedback(["a"], ROWS[:1], salient))
    assert mute.terms == {"tide": 1.0}
    against = Feedback(["a"], -2 * ROWS[:1], salient)
    assert (await FeedbackExpander().expand({}, query, against)).vector is query


@pytest.mark.parametrize(
    "options",
    [{"words": 0}, {"words": 1001}, {"word_weight": 1.0}, {"word_weight": -0.1},
     {"vector_weight": -0.1}, {"decay": 0.0}, {"decay": 1.1}],
)  # fmt: skip
def test_numbers_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        FeedbackExpander(**options)  # type: ignore[arg-type]  # wrong on purpose
