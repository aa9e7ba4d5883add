"""Latency of BM25 and of hybrid search on made-up texts, and quality on a given collection.

``--collection FOLDER`` reads ``documents.jsonl``, ``queries.jsonl`` and ``qrels.tsv`` and prints
nDCG@10 for each way of searching, with the embedder ``light`` where it is installed.
"""

import argparse
import asyncio
import json
import random
import statistics
import time
from importlib.util import find_spec
from pathlib import Path

from semsearch import SearchDocument, SearchService
from semsearch.adapters.embedders import HashingEmbedder, WordLlamaEmbedder
from semsearch.evaluation import Judgements


def texts(count: int) -> list[SearchDocument]:
    """Return documents of 60 words, frequent words first as in real text."""
    rng = random.Random(1)
    words = [f"word{n}" for n in range(20_000)]
    weights = [1 / (n + 1) for n in range(len(words))]
    return [
        SearchDocument(str(n), " ".join(rng.choices(words, weights, k=60)), {"n": n % 10})
        for n in range(count)
    ]


async def latency(count: int) -> None:
    """Print medians for ``count`` documents."""
    async with SearchService.from_url("memory://", embedder=HashingEmbedder(256)) as service:
        begun = time.perf_counter()
        await service.index_batch(texts(count))
        each = (time.perf_counter() - begun) / count * 1e3
        print(f"{count:,} documents: indexed in {each:.2f} ms each")
        rng = random.Random(2)
        for title, filters in (("hybrid", None), ("hybrid, filtered", {"n": 3})):
            took = []
            for _ in range(200):
                query = f"word{rng.randrange(2000)} word{rng.randrange(20_000)}"
                begun = time.perf_counter()
                await service.search(query, filters=filters, highlight=False)
                took.append((time.perf_counter() - begun) * 1e3)
            print(f"  {title:18} p50 {statistics.median(took):7.2f} ms")
        index = service._parts.sides.keywords
        took = []
        for _ in range(200):
            terms = index.terms(f"word{rng.randrange(2000)} word{rng.randrange(20_000)}")
            begun = time.perf_counter()
            await index.search(terms, 10, None)
            took.append((time.perf_counter() - begun) * 1e3)
        print(f"  BM25 alone         p50 {statistics.median(took):7.2f} ms")


async def quality(folder: Path) -> None:
    """Print nDCG@10 on the collection in ``folder``."""
    lines = (folder / "documents.jsonl").read_text("utf-8").splitlines()
    documents = [SearchDocument(d["id"], d["content"]) for d in map(json.loads, lines)]
    asked = map(json.loads, (folder / "queries.jsonl").read_text("utf-8").splitlines())
    queries = {str(each["id"]): each["text"] for each in asked}
    qrels: dict[str, dict[str, float]] = {}
    for line in (folder / "qrels.tsv").read_text("utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        qrels.setdefault(query, {})[document] = float(grade)
    light = find_spec("wordllama") is not None
    embedder = WordLlamaEmbedder() if light else HashingEmbedder()
    async with SearchService.from_url("memory://", embedder=embedder) as service:
        await service.index_batch(documents)
        print(f"{len(documents):,} documents, {embedder.model_id}")
        await measure(service, queries, qrels)


async def measure(service: SearchService, queries: dict[str, str], qrels: Judgements) -> None:
    """Print each way of searching."""
    ways = {
        "keywords": {"alpha": 0.0, "threshold": 1.0},
        "vectors": {"hybrid": False},
        "hybrid, minmax": {},
        "hybrid, rrf": {"fusion": "rrf"},
        "hybrid, expanded": {"query_expansion": True},
    }
    for title, options in ways.items():
        score = await service.evaluate(queries, qrels, **options)
        print(
            f"  {title:18} nDCG@10 {score.ndcg:.3f}  recall {score.recall:.3f}  MRR {score.mrr:.3f}"
        )


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--collection", type=Path)
    arguments = parser.parse_args()
    for count in (5_000, 20_000):
        asyncio.run(latency(count))
    if arguments.collection is not None:
        asyncio.run(quality(arguments.collection))


if __name__ == "__main__":
    main()
