"""The words of documents in an index of Elasticsearch, ranked by its BM25."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from math import log

from ...errors import ConfigurationError
from ...filters import OPERATORS, Filter
from ...ports import KeywordCapabilities, Scored, Stored, version
from ..kept import KeptIndex
from ..ledger import best
from ..points import Json
from ..tokens import FACTS, TokenConditions, tokens_of
from .server import MOST, Server, rendered

_NAMESPACE = uuid.UUID("4d6f0c0e-9a55-4a5c-8b0e-1c7d4e0b6a52")
_LONGEST_QUERY = 1000


class ElasticsearchIndex(KeptIndex):
    """An index of stems, made here as for the embedded index; its parser never sees a query.

    Lengths of documents are rounded to a byte, and what is deleted counts in how rare a word is
    until the server merges it away: it ranks nearly, not exactly, as an index built anew.
    """

    exact = False
    capabilities = KeywordCapabilities(kept=True, shared=True, filters=OPERATORS)

    def __init__(self, url: str, *, language: str = "en", api_key: str | None = None) -> None:
        """Use ``elasticsearch://user:password@host:9200/index?tls=on&shards=1``.

        Args:
            url: Of the server; the index is ``documents-words`` where it names none.
            language: Of documents and queries that name none.
            api_key: Base64, as Elasticsearch gives it; in place of user and password.

        Raises:
            ConfigurationError: A part is wrong.
        """
        super().__init__(language)
        self._server = Server(url, "documents-words", api_key, frozenset())
        self._ready = False

    async def _open(self) -> None:
        if not self._ready:
            await asyncio.to_thread(self._prepare)
            self._ready = True

    def _prepare(self) -> None:
        word, server = {"type": "keyword"}, self._server
        if not server.is_there():
            words = {"type": "text", "analyzer": "stems", "index_options": "freqs"}
            server.create({"id": word, "digest": word, FACTS: word, "words": words})
        if "words" not in server.check():
            raise ConfigurationError(
                f"{server.where} holds documents and vectors: use another index for the words"
            )

    async def _write(self, documents: Sequence[Stored], gone: Sequence[str]) -> None:
        def work() -> None:
            puts = [(_name(each.id), self._body(each)) for each in documents]
            self._server.write(puts, [_name(each) for each in gone])

        await asyncio.to_thread(work)

    def _body(self, document: Stored) -> Json:
        return {
            "id": document.id,
            "digest": version(document),
            FACTS: tokens_of(document.metadata, steps=False),
            "words": " ".join(self.stems_of(document)),
        }

    async def search(
        self, terms: Mapping[str, float], limit: int, filter: Filter | None
    ) -> Sequence[Scored]:
        if not terms or limit < 1:
            return []
        await self._open()
        return await asyncio.to_thread(self._search, terms, limit, filter)

    def _search(
        self, terms: Mapping[str, float], limit: int, wanted: Filter | None
    ) -> Sequence[Scored]:
        chosen = sorted(terms.items(), key=lambda pair: (-pair[1], pair[0]))[:_LONGEST_QUERY]
        query: Json = {
            "should": [
                {"term": {"words": {"value": term, "boost": weight}}} for term, weight in chosen
            ],
            "minimum_should_match": 1,
        }
        if wanted is not None:
            query["filter"] = [rendered(TokenConditions("Elasticsearch").only(wanted))]
        body: Json = {
            "query": {"bool": query},
            "size": min(limit, MOST),
            "_source": False,
            "docvalue_fields": [{"field": "id"}],
            "track_total_hits": False,
            # ties by id across the limit, too
            "sort": [{"_score": {"order": "desc"}}, {"id": {"order": "asc"}}],
            "track_scores": True,
        }
        answer = self._server.search(body)
        with self._server.rest.reading():
            hits = answer["hits"]["hits"]
            found = [(each["fields"]["id"][0], float(each["_score"])) for each in hits]
        return sorted(found, key=lambda hit: (-hit[1], hit[0]))

    async def documents(self) -> Mapping[str, str]:
        await self._open()

        def work() -> dict[str, str]:
            hits = self._server.everything({"match_all": {}}, {"includes": ["id", "digest"]}, "id")
            with self._server.rest.reading():
                return {each["_source"]["id"]: each["_source"]["digest"] for each in hits}

        return await asyncio.to_thread(work)

    async def salient(self, ids: Sequence[str], limit: int) -> Mapping[str, float]:
        await self._open()
        return await asyncio.to_thread(self._salient, ids, limit)

    def _salient(self, ids: Sequence[str], limit: int) -> Mapping[str, float]:
        if not ids:
            return {}
        asked = {"fields": ["words"], "term_statistics": True, "positions": False, "offsets": False}
        answer = self._server.rest.ask(
            "POST",
            f"/{self._server.index}/_mtermvectors",
            {"ids": [_name(each) for each in ids], "parameters": asked},
        )
        with self._server.rest.reading():
            return best(_weights(answer.body["docs"]), limit)

    async def aclose(self) -> None:
        await asyncio.to_thread(self._server.rest.close)
        self._ready = False


def _weights(docs: Sequence[Json]) -> dict[str, float]:
    """Return what the words of documents weigh, by their vectors of terms."""
    weights: dict[str, float] = {}
    for each in docs:
        words = each.get("term_vectors", {}).get("words")
        if not words:
            continue
        total = sum(found["term_freq"] for found in words["terms"].values())
        count = words["field_statistics"]["doc_count"]
        for term, found in words["terms"].items():
            df = min(found.get("doc_freq", 1), count)
            idf = log(1 + (count - df + 0.5) / (df + 0.5))
            weights[term] = weights.get(term, 0.0) + found["term_freq"] / total * idf
    return weights


def _name(document_id: str) -> str:
    """Return the name of a document; those of Elasticsearch have at most 512 bytes."""
    return str(uuid.uuid5(_NAMESPACE, document_id))
