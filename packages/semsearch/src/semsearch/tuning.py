"""Choosing fusion, alpha, expansion and threshold by judgements of the user's own."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .asking import Asked, Sides, gather
from .evaluation import Judgements, measure
from .filters import Filter
from .fusion import fuse
from .models import Fusion, SearchQuery
from .reports import Evaluation, Tuning
from .searching import share

_ALPHAS = tuple(step / 10 for step in range(11))
_KEEP = 0.95
_NOISE = 0.002
"""Means that differ by less are taken as equal: the choice nearest to the defaults wins."""


@dataclass(frozen=True, slots=True)
class _Choice:
    fusion: Fusion
    alpha: float
    expansion: bool

    def distance(self, other: "_Choice") -> tuple[float, ...]:
        """How far it is from the defaults, which are ``other``."""
        return (self.expansion, self.fusion != "minmax", abs(self.alpha - other.alpha), self.alpha)

    def __str__(self) -> str:
        tenth = f"{self.alpha:.1f}"  # an embedder's own may lie between
        alpha = tenth if float(tenth) == self.alpha else f"{self.alpha:g}"
        name = f"minmax {alpha}" if self.fusion == "minmax" else "rrf"
        return f"{name}, expanded" if self.expansion else name


def _choices(alpha: float) -> list[_Choice]:
    """Return what is tried, the default share of the vectors first."""
    alphas = dict.fromkeys([alpha, *_ALPHAS])
    return [
        choice
        for expansion in (False, True)
        for choice in (
            *(_Choice("minmax", each, expansion) for each in alphas),
            _Choice("rrf", 0.5, expansion),
        )
    ]


Gains = Mapping[_Choice, Sequence[float]]


async def tune(
    sides: Sides, queries: Mapping[str, str], qrels: Judgements, k: int, wanted: Filter | None
) -> Tuning:
    """Return what serves these queries best; see ``SearchService.tune``.

    Each query is asked once as it is and once expanded; the fusions are tried on what came.
    """
    names = [name for name in queries if any(value > 0 for value in qrels.get(name, {}).values())]
    alpha = sides.vectors.embedder.alpha
    default, choices = _Choice("minmax", alpha, expansion=False), _choices(alpha)
    gains: dict[_Choice, list[float]] = {choice: [] for choice in choices}
    relevant: list[float] = []
    for name in names:
        asked = {
            expansion: await gather(sides, _query(queries[name], expansion=expansion), wanted)
            for expansion in (False, True)
        }
        for choice in choices:
            gains[choice].append(_gain(choice, asked[choice.expansion], name, qrels, k))
        judged = qrels[name]
        relevant += [
            share(cosine) for found, cosine in asked[False].dense if judged.get(found, 0) > 0
        ]
        await asyncio.sleep(0)  # many queries must not hold the loop
    if not names:
        return Tuning("minmax", alpha, False, 0.0, 0.0, 0.0, 0.0, {}, 0)
    best = _best(gains, range(len(names)), default)
    return Tuning(
        fusion=best.fusion,
        alpha=best.alpha,
        query_expansion=best.expansion,
        threshold=_threshold(relevant),
        ndcg=_mean(gains[best], range(len(names))),
        default_ndcg=_mean(gains[default], range(len(names))),
        expected_ndcg=_held_out(gains, len(names), default),
        table={str(each): _mean(gains[each], range(len(names))) for each in choices},
        queries=len(names),
    )


def _query(text: str, *, expansion: bool) -> SearchQuery:
    return SearchQuery(text, hybrid=True, query_expansion=expansion, limit=20, highlight=False)


def _gain(choice: _Choice, asked: Asked, name: str, qrels: Judgements, k: int) -> float:
    ranked = [found for found, _ in fuse(asked.dense, asked.keyword, choice.fusion, choice.alpha)]
    one: Evaluation = measure({name: ranked}, qrels, k)
    return one.ndcg


def _mean(values: Sequence[float], places: Sequence[int]) -> float:
    return sum(values[place] for place in places) / len(places)


def _best(gains: Gains, places: Sequence[int], default: _Choice) -> _Choice:
    means = {choice: _mean(values, places) for choice, values in gains.items()}
    most = max(means.values())
    good = [choice for choice, mean in means.items() if mean >= most - _NOISE]
    return min(good, key=lambda choice: choice.distance(default))


def _held_out(gains: Gains, count: int, default: _Choice) -> float:
    """Return the mean over queries that took no part in the choice: two halves, each for the other.

    What is best on the queries it was chosen by looks better there than it is.
    """
    if count < 2:
        return 0.0
    halves = [range(0, count, 2), range(1, count, 2)]
    total = 0.0
    for chosen_by, judged_by in (halves, halves[::-1]):
        choice = _best(gains, chosen_by, default)
        total += _mean(gains[choice], judged_by) * len(judged_by)
    return total / count


def _threshold(relevant: Sequence[float]) -> float:
    """Return what lets ``_KEEP`` of the relevant documents through by their vectors alone."""
    if not relevant:
        return 0.0
    ranked = sorted(relevant)
    return round(max(0.0, ranked[int((1 - _KEEP) * len(ranked))] - 0.005), 2)
