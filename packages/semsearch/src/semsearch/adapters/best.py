"""The best of many scores, and the cosines of many vectors, at the speed of numpy."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ports import Matrix, Scored, Vector

_SAMPLE = 4


def cosines(matrix: Matrix, vector: Vector) -> Vector:
    """Return the cosine of each row of unit vectors with a unit vector.

    Row by row: a product of matrix and vector is cut into blocks and among threads, so that the
    same row may get another last digit at another place, and the threads wait for a core that
    others use. This reads memory as fast, and the order by id of equal vectors is certain.
    """
    made: Vector = np.matmul(matrix[:, None, :], vector[:, None])[:, 0, 0]
    return made


def best(scores: Any, rows: Any, ids: Sequence[Any], limit: int) -> list[Scored]:
    """Return the ``limit`` best of some rows as hits, best first, ties by id.

    Args:
        scores: One for each of ``rows``.
        rows: Indices into ``ids``.
        ids: Names of all rows.
        limit: At least 1.
    """
    if len(scores) > limit:
        chosen, lowest = _at_least(scores, limit)
        scores, rows = scores[chosen], rows[chosen]
        if len(scores) > limit:  # ties with the last: those with the least ids stay
            above, equal = scores > lowest, scores == lowest
            tied = sorted([ids[row] for row in rows[equal].tolist()])
            hits = _ordered(scores[above], rows[above], ids)
            return hits + [(name, float(lowest)) for name in tied[: limit - len(hits)]]
    return _ordered(scores, rows, ids)


def _ordered(scores: Any, rows: Any, ids: Sequence[Any]) -> list[Scored]:
    order = np.argsort(-scores, kind="stable")
    scores = scores[order]
    names = [ids[row] for row in rows[order].tolist()]
    if (scores[1:] == scores[:-1]).any():
        # negated, plain pairs sort by themselves: a key would be a call for each
        pairs = sorted(zip((-scores).tolist(), names, strict=True))
        return [(name, -score) for score, name in pairs]
    return list(zip(names, scores.tolist(), strict=True))


def _at_least(scores: Any, limit: int) -> tuple[Any, Any]:
    """Return where the ``limit`` greatest scores are and what ties with the last, and that one."""
    width = len(scores) // (_SAMPLE * limit)
    if width < 2:
        lowest = _nth(scores, limit)
        return np.nonzero(scores >= lowest)[0], lowest
    # the greatest of each column: at least `limit` scores reach the nth of these, and few others
    count = len(scores) // width
    heads = scores[: width * count].reshape(width, count).max(axis=0)
    near = np.nonzero(scores >= _nth(heads, limit))[0]
    kept = scores[near]
    lowest = _nth(kept, limit)
    return near[kept >= lowest], lowest


def _nth(scores: Any, place: int) -> Any:
    return np.partition(scores, len(scores) - place)[len(scores) - place]
