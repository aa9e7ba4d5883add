"""Search beside peers, and its quality: ``nox -s bench -- semsearch --record``.

Peers with the settings that their makers recommend, in turn, in one process, medians of
``--repetitions`` rounds; those that are not installed are left out. ``--collection FOLDER``
(``documents.jsonl``, ``queries.jsonl``, ``qrels.tsv``; it may be given again) adds nDCG@10 of the
keyword indexes, of every way of searching, and of other people's hybrids. What this package adds to
the clients below it is measured on one index asked both ways. ``--record`` writes into the
documentation.
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import functools
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
from drawing import draw
from peers import keywords, overhead, quality, service, vectors
from peers.postgres import database

from semsearch.ports import Matrix

DOCS: Final = Path(__file__).parents[3] / "docs" / "semsearch" / "explanation" / "benchmarks"
_NAMES: Final = ("keywords", "vectors", "service", "overhead", "quality", "ways", "hybrids")
_QUERIES: Final = 60
_SLOW: Final = 0.05
_PEERS: Final = (
    "rank-bm25", "bm25s", "tantivy", "qdrant-client", "qdrant-edge-py", "lancedb", "haystack-ai",
    "txtai", "wordllama", "sentence-transformers",
)  # fmt: skip
_COLUMNS: Final = {
    "keywords": {"build": "build, s", "query": "query p50, ms", "add": "add one, ms"},
    "vectors": {
        "build": "build, s", "recall": "recall@10", "query": "query p50, ms",
        "filtered": "filtered, ms",
    },
    "service": {
        "query": "query p50, ms", "cpu": "of it computing, ms", "filtered": "filtered, ms",
    },
    "overhead": {"recall": "recall@10", "query": "query p50, ms"},
    "quality": {"ndcg": "nDCG@10", "recall": "recall@10", "mrr": "MRR@10"},
    "ways": {
        "words": "words alone", "vectors": "vectors alone", "rrf": "ranks", "minmax": "min-max",
        "rrf_expanded": "ranks, expanded", "minmax_expanded": "min-max, expanded",
    },
    "hybrids": {"ndcg": "nDCG@10", "recall": "recall@10", "mrr": "MRR@10", "query": "query, ms"},
}  # fmt: skip
Table = dict[str, dict[str, Any]]
"""Figures by contender, then by what was measured; milliseconds, seconds or shares."""


def texts(count: int) -> list[str]:
    """Return texts of 60 words, frequent words first as in real text."""
    rng = np.random.default_rng(1)
    weights = 1 / np.arange(1, 20_001)
    rows = rng.choice(20_000, (count, 60), p=weights / weights.sum())
    return [" ".join(f"word{n}" for n in row) for row in rows]


def clusters(count: int, dimension: int = 384) -> tuple[Matrix, Matrix]:
    """Return unit vectors around a thousand centres, as those of texts are, and queries."""
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(1000, dimension))
    which = rng.integers(0, 1000, count + _QUERIES)
    rows = centres[which] + rng.normal(size=(count + _QUERIES, dimension))
    unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit[:count], unit[count:]


def timed(calls: Sequence[Callable[[], Any]]) -> list[float]:
    """Return the milliseconds of each call; fewer calls if they are slow."""
    return few([functools.partial(vectors.took, call) for call in calls])


def few(measured: Sequence[Callable[[], float]]) -> list[float]:
    """Return what calls say that they took, in milliseconds; fewer calls if that is long."""
    took: list[float] = []
    for each in measured:
        took.append(each())
        if len(took) >= 10 and statistics.median(took) > _SLOW * 1e3:
            break
    return took


def spread(rounds: Sequence[float]) -> dict[str, float]:
    """Return the median of the rounds' figures, the lowest and the highest."""
    return {"median": statistics.median(rounds), "low": min(rounds), "high": max(rounds)}


def measure_keywords(count: int, repetitions: int) -> Table:
    """Return how long building, searching and adding take."""
    everybody, rng, made = keywords.everybody(), np.random.default_rng(3), texts(count)
    table: Table = {}
    for each in everybody:
        begun = time.perf_counter()
        each.build(made)
        table[each.name] = {"build": time.perf_counter() - begun}
    asked = [
        f"word{rng.integers(2000)} word{rng.integers(20_000)} word{rng.integers(200)}"
        for _ in range(_QUERIES)
    ]
    rounds: dict[str, list[float]] = {each.name: [] for each in everybody}
    for _ in range(repetitions):
        for each in everybody:
            calls = [lambda query=query, each=each: each.search(query, 10) for query in asked]
            rounds[each.name].append(statistics.median(timed(calls)))
    for each in everybody:
        table[each.name]["query"] = spread(rounds[each.name])
        more = [lambda n=n, each=each: each.add(f"another text number{n}") for n in range(3)]
        table[each.name]["add"] = statistics.median(timed(more))
    return table


def measure_vectors(count: int, repetitions: int) -> Table:
    """Return how long building and searching take, and how many of the nearest ten are found."""
    rows, asked = clusters(count)
    everybody = [each for each in vectors.everybody() if count <= each.most]
    exact = [set(np.argsort(rows @ query)[::-1][:10].tolist()) for query in asked]
    table: Table = {}
    for each in everybody:
        begun = time.perf_counter()
        each.build(rows)
        took = time.perf_counter() - begun
        found = [set(each.search(query, 10, None)) for query in asked]
        hits = sum(len(a & b) for a, b in zip(found, exact, strict=True))
        table[each.name] = {"build": took, "recall": hits / (10 * len(asked))}
    for title, tag in (("query", None), ("filtered", 3)):
        rounds: dict[str, list[float]] = {each.name: [] for each in everybody}
        for _ in range(repetitions):
            for each in everybody:
                calls = [functools.partial(each.took, q, 10, tag) for q in asked]
                rounds[each.name].append(statistics.median(few(calls)))
        for each in everybody:
            table[each.name][title] = spread(rounds[each.name])
    for each in everybody:
        each.close()
    return table


def measure_service(count: int, repetitions: int) -> Table:
    """Return how long a hybrid search of three words takes."""
    rng, made = np.random.default_rng(3), texts(count)
    asked = [
        f"word{rng.integers(2000)} word{rng.integers(20_000)} word{rng.integers(200)}"
        for _ in range(5 * _QUERIES)
    ]
    table: Table = {}
    for scheme in ("memory", "sqlite"):
        rounds = asyncio.run(service.hybrid(scheme, made, asked, repetitions))
        table[f"semsearch, {scheme}"] = {key: spread(each) for key, each in rounds.items()}
    return table


def measure_overhead(count: int, repetitions: int, postgres: str | None) -> Table:
    """Return how long the nearest ten take by a client alone and by this package over it."""
    rows, asked = clusters(count)
    table: Table = {}
    with database(postgres) as url:
        for kind, client in (("edge", "qdrant-edge-py"), ("pgvector", "asyncpg and pgvector")):
            if kind == "pgvector" and url is None:
                continue
            took = asyncio.run(overhead.both(kind, url or "", rows, asked, repetitions))
            for way, name in (("raw", f"{client} alone"), ("ours", f"semsearch over {client}")):
                rounds = [statistics.median(each) for each in took[way]]
                table[name] = {"recall": took["recall"], "query": spread(rounds)}
    return table


def tables(results: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    about, runs = results["about"], results.get("runs", {})
    made = ["{machine}, {date}; {versions}; medians of rounds.".format(**about)]
    for title, table in results["tables"].items():
        name = title.partition(" ")[0]
        run = runs.get(title)
        told = " ({rounds}, {date}, load {load})".format(**run) if run is not None else ""
        made += ["", f"**{title}**{told}", "", f"| | {' | '.join(_COLUMNS[name].values())} |"]
        made.append("|---" * (1 + len(_COLUMNS[name])) + "|")
        for who, figures in table.items():
            cells = [_cell(figures[key], key) for key in _COLUMNS[name]]
            made.append(f"| {who} | {' | '.join(cells)} |")
    return "\n".join(made) + "\n"


def _cell(figure: Any, key: str) -> str:
    value = figure["median"] if isinstance(figure, dict) else figure
    if key not in {"build", "query", "cpu", "filtered", "add"}:
        return f"{value:.3f}"
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def _versions(before: str) -> str:
    """Return what is installed, and of other peers what ``before`` says."""
    made = dict(each.split() for each in before.split(", ") if each)
    for name in _PEERS:
        with contextlib.suppress(PackageNotFoundError):
            made[name] = version(name)
    return ", ".join(f"{name} {made[name]}" for name in _PEERS if name in made)


def _run(about: dict[str, Any]) -> dict[str, Any]:
    """Return when a table was made, and how busy the machine was at its end."""
    load = round(os.getloadavg()[0], 1)
    return {"date": about["date"], "rounds": f"{about['repetitions']} rounds", "load": load}


def main() -> None:
    """Read the arguments, measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--collection", type=Path, action="append", help="for nDCG; several")
    parser.add_argument("--only", choices=_NAMES, action="append", help="one part, or several")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--postgres", metavar="URL", help="with pgvector; else one is started")
    parser.add_argument("--model", type=Path, help="a folder with all-MiniLM-L6-v2")
    parser.add_argument("--quick", action="store_true", help="a smoke run: the figures say nothing")
    parser.add_argument("--record", action="store_true", help=f"write to {DOCS.name}/ of the docs")
    options = parser.parse_args()
    if options.quick:
        options.sizes, options.repetitions = [1000], 1
    results: dict[str, Any] = {"tables": {}}
    if options.record and (DOCS / "results.json").exists():  # other parts stay
        results = json.loads((DOCS / "results.json").read_text("utf-8"))
    before = results.get("about", {})
    results["about"] = about = {
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        "versions": _versions(before.get("versions", "")),
        "repetitions": options.repetitions,
        "load": round(os.getloadavg()[0], 1),
    }
    runs = results.setdefault("runs", {})
    chosen = options.only or _NAMES
    parts: dict[str, Callable[[int, int], Table]] = {
        "keywords": measure_keywords,
        "vectors": measure_vectors,
        "service": measure_service,
        "overhead": lambda count, times: measure_overhead(count, times, options.postgres),
    }
    for count in options.sizes:
        for name, work in parts.items():
            if name in chosen:
                results["tables"][f"{name} {count:,}"] = work(count, options.repetitions)
                runs[f"{name} {count:,}"] = _run(about)
    judges: dict[str, Callable[[quality.Collection, Path | None], Table]] = {
        "quality": lambda given, _: quality.of_keywords(given),
        "ways": lambda given, model: asyncio.run(quality.of_ways(given, model)),
        "hybrids": lambda given, model: asyncio.run(quality.of_hybrids(given, model)),
    }
    for folder in options.collection or ():
        given = quality.collection(folder)
        for name, judge in judges.items():
            if name in chosen:
                results["tables"][f"{name} {given.name}"] = judge(given, options.model)
                runs[f"{name} {given.name}"] = {**_run(about), "rounds": "one round"}
    print(tables(results))
    if options.record:
        DOCS.mkdir(parents=True, exist_ok=True)
        (DOCS / "results.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
        (DOCS / "tables.txt").write_text(tables(results), "utf-8")
        draw(results["tables"], DOCS)


if __name__ == "__main__":
    main()
