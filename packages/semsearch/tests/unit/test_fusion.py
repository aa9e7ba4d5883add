"""Two ranked lists into one: the figures of both ways, by hand."""

import pytest

from semsearch.fusion import WINDOW, fuse, ordered

DENSE = [("a", 0.9), ("b", 0.7), ("c", 0.5)]
WORDS = [("c", 12.0), ("d", 6.0), ("a", 3.0)]


def test_ranks_count_and_scores_do_not() -> None:
    """``1 / (60 + rank)`` of both lists, by the most that can come out: twice ``1 / 61``."""
    found = fuse(DENSE, WORDS, "rrf", 0.9)
    half = {rank: 61 / (60 + rank) / 2 for rank in (1, 2, 3)}
    assert found == [
        ("a", pytest.approx(half[1] + half[3])),
        ("c", pytest.approx(half[1] + half[3])),
        ("b", pytest.approx(half[2])),
        ("d", pytest.approx(half[2])),
    ]
    assert fuse([("a", 0.1)], [("a", 3.0)], "rrf", 0.5) == [("a", pytest.approx(1.0))]
    other = [(name, score / 7) for name, score in WORDS]
    assert fuse(DENSE, other, "rrf", 0.1) == found


def test_scores_are_scaled_and_shared_out() -> None:
    """The last vector is 0, as is what no word matched; what a list does not have is 0 there."""
    found = fuse(DENSE, WORDS, "minmax", 0.75)
    assert found == [
        ("a", pytest.approx(0.75 + 0.25 / 4)),
        ("b", pytest.approx(0.375)),
        ("c", pytest.approx(0.25)),
        ("d", pytest.approx(0.125)),
    ]
    assert [name for name, _ in fuse(DENSE, WORDS, "minmax", 1.0)] == ["a", "b", "c", "d"]
    assert [name for name, _ in fuse(DENSE, WORDS, "minmax", 0.0)] == ["c", "d", "a", "b"]


@pytest.mark.parametrize("method", ["minmax", "rrf"])
def test_lists_of_one_and_of_none(method: str) -> None:
    assert fuse([], [], method, 0.5) == []  # type: ignore[arg-type]
    alone = fuse([("a", 0.3)], [], method, 0.5)  # type: ignore[arg-type]
    assert alone == [("a", pytest.approx(0.5))]
    same = fuse([("b", 0.3), ("a", 0.3)], [], "minmax", 0.5)
    assert same == [("a", 0.5), ("b", 0.5)]


def test_equal_scores_stand_by_id_wherever_they_are() -> None:
    scores = {"d": 0.5, "a": 0.1, "c": 0.5, "f": 0.9, "b": 0.5, "e": 0.1}
    by_id = [("f", 0.9), ("b", 0.5), ("c", 0.5), ("d", 0.5), ("a", 0.1), ("e", 0.1)]
    assert ordered(scores) == by_id
    assert ordered(dict.fromkeys("cab", 0.5)) == [("a", 0.5), ("b", 0.5), ("c", 0.5)]
    assert ordered({}) == []


def test_the_last_of_few_matches_is_still_a_match() -> None:
    found = dict(fuse(DENSE, [("d", 3.0), ("e", 2.9)], "minmax", 0.5))
    assert found["d"] == pytest.approx(0.5)
    assert found["e"] == pytest.approx(0.5 * 2.9 / 3.0)


def test_scores_below_zero_are_scaled_too() -> None:
    """Some indexes have a negative weight for words that most documents have."""
    found = fuse([], [("a", 1.0), ("b", -1.0), ("c", -3.0)], "minmax", 0.5)
    assert found == [("a", 0.5), ("b", 0.25), ("c", 0.0)]


def test_of_many_matches_the_last_is_as_good_as_none() -> None:
    many = [(f"{n:03}", 300.0 - n) for n in range(WINDOW)]
    assert dict(fuse([], many, "minmax", 0.5))[many[-1][0]] == 0.0
    assert dict(fuse([], many[:-1], "minmax", 0.5))[many[-2][0]] == pytest.approx(102 / 600)
