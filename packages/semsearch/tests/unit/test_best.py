"""The best of many scores, cosines, and rows that pass a filter."""

import numpy as np
import pytest

from semsearch.adapters.best import best, cosines
from semsearch.adapters.columns import Columns
from semsearch.adapters.shelf import Shelf
from semsearch.filters import Filter
from semsearch.ports import Stored


def test_best_first_and_ties_by_id() -> None:
    scores = np.array([0.5, 2.0, 0.5, 1.0, 0.5])
    ids = ["e", "a", "d", None, "b", "c"]
    rows = np.array([0, 1, 2, 4, 5])
    assert best(scores, rows, ids, 4) == [("a", 2.0), ("b", 1.0), ("c", 0.5), ("d", 0.5)]
    assert best(scores, rows, ids, 9)[-1] == ("e", 0.5)
    assert best(scores[:0], rows[:0], ids, 3) == []


@pytest.mark.parametrize("kinds", [2, 30, 10**6])
def test_the_same_as_sorting_everything(kinds: int) -> None:
    rng = np.random.default_rng(kinds)
    for count in (1, 7, 40, 41, 1000, 1003):
        scores = rng.integers(0, kinds, count) / 7
        ids = [f"d{n}" for n in rng.permutation(2 * count)]
        rows = rng.permutation(2 * count)[:count]
        hits = [(ids[row], score) for row, score in zip(rows, scores.tolist(), strict=True)]
        hits.sort(key=lambda hit: (-hit[1], hit[0]))
        for limit in (1, 3, 10, 900):
            assert best(scores, rows, ids, limit) == hits[:limit]


def test_a_vector_has_the_same_cosine_wherever_it_stands() -> None:
    rng = np.random.default_rng(1)
    for count in (1, 2, 3, 5, 8, 101):
        matrix = rng.normal(size=(count, 387)).astype(np.float32)
        matrix[:] = matrix[0]
        found = cosines(matrix, rng.normal(size=387).astype(np.float32))
        assert found.shape == (count,)
        assert len(set(found.tolist())) == 1


@pytest.mark.parametrize("share", [2, 10])
def test_the_same_cosines_with_a_filter_as_without(share: int) -> None:
    rng = np.random.default_rng(2)
    shelf = Shelf(37)
    for n in range(200):
        vector = rng.normal(size=37).astype(np.float32)
        shelf.put(Stored(f"d{n:03}", "", {"n": n % share}, vector, ""))
    query = rng.normal(size=37).astype(np.float32)
    whole = shelf.nearest(query, 200, None)
    expected = [hit for hit in whole if int(hit[0][1:]) % share == 1]
    assert shelf.nearest(query, 200, Filter.parse({"n": 1})) == expected
    assert shelf.nearest(query, 3, Filter.parse({"n": 1})) == expected[:3]


def test_rows_are_forgotten_when_something_changes() -> None:
    columns = Columns()
    columns.add(0, {"a": 1})
    wanted = Filter("$eq", name="a", value=1)
    assert columns.rows(wanted).tolist() == [0]
    columns.add(1, {"a": 1})
    assert sorted(columns.rows(wanted).tolist()) == [0, 1]
    columns.remove(0, {"a": 1})
    assert columns.rows(wanted).tolist() == [1]
    for n in range(40):
        assert columns.rows(Filter("$eq", name="a", value=n)).tolist() == [1] * (n == 1)


def test_rows_of_conditions_that_are_equal_in_python() -> None:
    columns = Columns()
    columns.add(0, {"a": 1})
    columns.add(1, {"a": True})
    assert columns.rows(Filter("$eq", name="a", value=1)).tolist() == [0]
    assert columns.rows(Filter("$eq", name="a", value=True)).tolist() == [1]
