"""The best of many scores, and the cosines of many vectors, at the speed of numpy."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ports import Matrix, Scored, Vector


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
        # a margin keeps what ties with the last one, so that the order by id is exact
        least = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        chosen = np.nonzero(scores >= least)[0]
        scores, rows = scores[chosen], rows[chosen]
    # negated, plain pairs sort by themselves: a key would be a call for each
    pairs = zip((-scores).tolist(), [ids[row] for row in rows.tolist()], strict=True)
    return [(name, -score) for score, name in sorted(pairs)[:limit]]
