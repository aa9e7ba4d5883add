"""Keywords, vectors, searches and quality beside peers: ``nox -s bench -- semsearch --record``.

Peers with the settings that their makers recommend, in turn, in one process, medians of
``--repetitions`` rounds. ``--collection FOLDER`` (``documents.jsonl``, ``queries.jsonl``,
``qrels.tsv``) adds nDCG@10 of the keyword indexes. What this package adds to the clients below it
is measured on one index asked both ways; PostgreSQL with pgvector is that of ``--postgres``.
``--record`` writes into the documentation.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from drawing import draw
from peers import keywords, overhead, service, vectors

from semsearch.evaluation import measure
from semsearch.ports import Matrix

DOCS: Final = Path(__file__).parents[3] / "docs" / "semsearch" / "explanation" / "benchmarks"
_NAMES: Final = ("keywords", "vectors", "service", "overhead", "quality")
_QUERIES: Final = 60
_SLOW: Final = 0.05
_PEERS: Final = ("rank-bm25", "bm25s", "tantivy", "qdrant-client", "qdrant-edge-py", "lancedb")
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
    took: list[float] = []
    for call in calls:
        begun = time.perf_counter()
        call()
        took.append((time.perf_counter() - begun) * 1e3)
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
                calls = [lambda q=q, each=each, tag=tag: each.search(q, 10, tag) for q in asked]
                rounds[each.name].append(statistics.median(timed(calls)))
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
    for kind, client in (("edge", "qdrant-edge-py"), ("pgvector", "asyncpg and pgvector")):
        if kind == "pgvector" and postgres is None:
            continue
        took = asyncio.run(overhead.both(kind, postgres or "", rows, asked, repetitions))
        for way, name in (("raw", f"{client} alone"), ("ours", f"semsearch over {client}")):
            rounds = [statistics.median(each) for each in took[way]]
            table[name] = {"recall": took["recall"], "query": spread(rounds)}
    return table


def measure_quality(folder: Path) -> Table:
    """Return nDCG@10, recall and MRR of the keyword indexes on a collection."""
    documents = [json.loads(line) for line in _lines(folder / "documents.jsonl")]
    queries = {q["id"]: q["text"] for q in map(json.loads, _lines(folder / "queries.jsonl"))}
    qrels: dict[str, dict[str, float]] = {}
    for line in _lines(folder / "qrels.tsv")[1:]:
        query, document, grade = line.split("\t")
        qrels.setdefault(query, {})[document] = float(grade)
    names = [each["id"] for each in documents]
    table: Table = {}
    for each in keywords.everybody():
        each.build([document["content"] for document in documents])
        found = {
            str(key): [names[row] for row in each.search(text, 10)] for key, text in queries.items()
        }
        score = measure(found, qrels, 10)
        table[each.name] = {"ndcg": score.ndcg, "recall": score.recall, "mrr": score.mrr}
    return table


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def tables(results: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    about = results["about"]
    made = [f"{about['machine']}; {about['versions']}; medians of {about['repetitions']} rounds."]
    heads = {
        "keywords": ("build, s", "query p50, ms", "add one, ms"),
        "vectors": ("build, s", "recall@10", "query p50, ms", "filtered, ms"),
        "service": ("query p50, ms", "of it computing, ms", "filtered, ms"),
        "overhead": ("recall@10", "query p50, ms"),
        "quality": ("nDCG@10", "recall@10", "MRR@10"),
    }
    keys = {
        "keywords": ("build", "query", "add"),
        "vectors": ("build", "recall", "query", "filtered"),
        "service": ("query", "cpu", "filtered"),
        "overhead": ("recall", "query"),
        "quality": ("ndcg", "recall", "mrr"),
    }
    for title, table in results["tables"].items():
        name = title.partition(" ")[0]
        made += ["", f"**{title}**", "", f"| | {' | '.join(heads[name])} |"]
        made.append("|---" * (1 + len(heads[name])) + "|")
        for who, figures in table.items():
            cells = [_cell(figures[key], key) for key in keys[name]]
            made.append(f"| {who} | {' | '.join(cells)} |")
    return "\n".join(made) + "\n"


def _cell(figure: Any, key: str) -> str:
    value = figure["median"] if isinstance(figure, dict) else figure
    if key in {"recall", "ndcg", "mrr"}:
        return f"{value:.3f}"
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def main() -> None:
    """Read the arguments, measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--collection", type=Path, help="for nDCG")
    parser.add_argument("--only", choices=_NAMES, action="append", help="one part, or several")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--postgres", metavar="URL", help="a database with pgvector, for overhead")
    parser.add_argument("--record", action="store_true", help=f"write to {DOCS.name}/ of the docs")
    options = parser.parse_args()
    results: dict[str, Any] = {"tables": {}}
    if options.record and (DOCS / "results.json").exists():  # other parts stay
        results = json.loads((DOCS / "results.json").read_text("utf-8"))
    results["about"] = {
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {version(name)}" for name in _PEERS),
        "repetitions": options.repetitions,
        "load": round(os.getloadavg()[0], 1),
    }
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
    if "quality" in chosen and options.collection is not None:
        title = f"quality {options.collection.name}"
        results["tables"][title] = measure_quality(options.collection)
    print(tables(results))
    if options.record:
        DOCS.mkdir(parents=True, exist_ok=True)
        (DOCS / "results.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
        (DOCS / "tables.txt").write_text(tables(results), "utf-8")
        draw(results["tables"], DOCS)


if __name__ == "__main__":
    main()
