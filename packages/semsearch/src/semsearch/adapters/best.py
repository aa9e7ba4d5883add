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
        chosen = _at_least(scores, limit)
        scores, rows = scores[chosen], rows[chosen]
    order = np.argsort(-scores, kind="stable")
    scores = scores[order]
    hits = list(zip([ids[row] for row in rows[order].tolist()], scores.tolist(), strict=True))
    if (scores[1:] == scores[:-1]).any():
        hits.sort(key=lambda hit: (-hit[1], hit[0]))
    return hits[:limit]


def _at_least(scores: Any, limit: int) -> Any:
    """Return where the ``limit`` greatest scores are, and what ties with the last of them."""
    width = len(scores) // (_SAMPLE * limit)
    if width < 2:
        return np.nonzero(scores >= _nth(scores, limit))[0]
    # the greatest of each column: at least `limit` scores reach the nth of these, and few others
    count = len(scores) // width
    heads = scores[: width * count].reshape(width, count).max(axis=0)
    near = np.nonzero(scores >= _nth(heads, limit))[0]
    kept = scores[near]
    return near[kept >= _nth(kept, limit)]


def _nth(scores: Any, place: int) -> Any:
    return np.partition(scores, len(scores) - place)[len(scores) - place]
