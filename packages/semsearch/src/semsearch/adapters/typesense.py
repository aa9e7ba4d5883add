"""The words of documents in a collection of Typesense, ranked by BM25 (extra ``hosted``).

Typesense's own ranking counts how many words match, not how rare they are. So it is asked what it
knows exactly, how many documents have a stem and which, and the ranking is computed here. Stems and
facts of metadata are digests: the server's tokenizer has nothing to take apart, and no text of a
user stands in a query.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from math import log
from typing import Any
from urllib.parse import quote, urlencode

from .._common.urls import flag, query_of, redact
from ..errors import BackendError, ConfigurationError, UnsupportedOperationError
from ..filters import OPERATORS, Filter
from ..ports import KeywordCapabilities, Scored, Stored, version
from .address import base_of, parts_of
from .batches import batches, encoded
from .kept import KeptIndex
from .ledger import best
from .points import Json
from .rest import AGAIN, Rest
from .tokens import FACTS, TokenConditions, pushed, tokens_of
from .typesense_query import digest, filter_of, id_of, operations

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_SEARCHES, _PAGE, _NAMES = 40, 250, 50
"""What one request may ask: searches, hits of a page, ids."""
_OPERATIONS = 100
"""What Typesense takes in one filter, conditions and what joins them, if not set otherwise."""
_CANDIDATES = 5000
_K1, _B = 1.2, 0.75


class TypesenseIndex(KeptIndex):
    """A collection of Typesense 26 or newer; it is made by the first call.

    Scores are those of the embedded index. All documents with the rarer words of a query are
    ranked; words that are in more than 5,000 documents count for these, and find no others: only
    then it ranks nearly, not exactly, as an index built anew.
    """

    capabilities = KeywordCapabilities(
        kept=True, shared=True, filters=OPERATORS - {"$contains", "$prefix"}
    )

    def __init__(self, url: str, *, language: str = "en", api_key: str | None = None) -> None:
        """Use ``typesense://host:8108/collection?tls=on``.

        Args:
            url: Of the server; the collection is ``documents-words`` where it names none. ``tls``
                is on if not said otherwise.
            language: Of documents and queries that name none.
            api_key: One that may make and write collections.

        Raises:
            ConfigurationError: A part is wrong, or the key is missing.
        """
        super().__init__(language)
        parts = parts_of(url)
        options = query_of(url, allowed=frozenset({"tls"}))
        self._name = parts.path.strip("/") or "documents-words"
        if "@" in parts.netloc or not parts.hostname:
            raise ConfigurationError(
                f"{redact(url)!r} must have a host, and no user: give an api_key"
            )
        if api_key is None:
            raise ConfigurationError("search.keyword_api_key is missing: Typesense needs one")
        if not _NAME.fullmatch(self._name):
            raise ConfigurationError(
                "a collection of Typesense is named by letters, digits, '_' and '-', at most 100, "
                f"not {self._name[:60]!r}"
            )
        tls = flag(options, "tls", default=True)
        base = base_of(parts, tls=tls, port=8108)
        self._rest = Rest(
            base,
            {"x-typesense-api-key": api_key},
            reason=lambda _: "",
            lines="application/octet-stream",  # as the API's description has it
        )
        self._ready = False

    async def _open(self) -> None:
        if not self._ready:
            await asyncio.to_thread(self._prepare)
            self._ready = True

    def _prepare(self) -> None:
        path = f"/collections/{self._name}"
        there = self._rest.ask("GET", path, well=frozenset({404}))
        if there.status == 404:
            words: Json = {"type": "string[]", "facet": False}
            fields: list[Json] = [
                {"name": "terms", **words},
                {"name": FACTS, **words},
                {"name": "length", "type": "int32", "facet": True},
                *({"name": name, "type": "string", "index": False, "optional": True}
                  for name in ("doc", "digest")),
                {"name": "stems", "type": "string[]", "index": False, "optional": True},
                {"name": "counts", "type": "int32[]", "index": False, "optional": True},
            ]  # fmt: skip
            body = {"name": self._name, "fields": fields, "metadata": {"made_by": "semsearch"}}
            # 409: somebody else was faster
            self._rest.ask("POST", "/collections", body, well=frozenset({409}))
            there = self._rest.ask("GET", path)
        with self._rest.reading():
            made_by = (there.body.get("metadata") or {}).get("made_by")
        if made_by != "semsearch":
            raise ConfigurationError(
                f"{self._rest.url}: {self._name!r} is no index of semsearch: use another collection"
            )

    async def _write(self, documents: Sequence[Stored], gone: Sequence[str]) -> None:
        await asyncio.to_thread(self._put, documents, gone)

    def _put(self, documents: Sequence[Stored], gone: Sequence[str]) -> None:
        path = f"/collections/{self._name}/documents"
        for start in range(0, len(gone), _NAMES):
            names = ",".join(id_of(each) for each in gone[start : start + _NAMES])
            self._rest.ask("DELETE", f"{path}?filter_by={quote(f'id:[{names}]')}")
        pairs = [encoded(self._body(each)) for each in documents]
        lines, sizes = [each for each, _ in pairs], [size for _, size in pairs]
        for part in batches(lines, sizes, "Typesense"):
            self._import(f"{path}/import?action=upsert", part)

    def _import(self, path: str, lines: Sequence[Any]) -> None:
        answer = self._rest.ask("POST", path, lines=lines, many=True)
        with self._rest.reading():
            refused = [each for each in answer.body if not each["success"]]
            if len(answer.body) != len(lines):
                raise LookupError("a document is missing")
        if refused:
            raise BackendError(
                f"{self._rest.url}: {len(refused)} of {len(lines)} documents were refused",
                retryable=all(each.get("code") in {429, 503} for each in refused),
            )

    def _body(self, document: Stored) -> Json:
        counts = Counter(self.stems_of(document))
        return {
            "id": id_of(document.id),
            "doc": document.id,
            "digest": version(document),
            "terms": [digest(term) for term in counts],
            "stems": list(counts),
            "counts": list(counts.values()),
            "length": counts.total(),
            FACTS: [digest(each) for each in tokens_of(document.metadata, steps=True)],
        }

    def _searched(self, searches: Sequence[Json]) -> list[Json]:
        """Return the answers of searches."""
        found: list[Json] = []
        for start in range(0, len(searches), _SEARCHES):
            part = [
                {"collection": self._name, "q": "*", "per_page": 0, **each}
                for each in searches[start : start + _SEARCHES]
            ]
            answer = self._rest.ask("POST", "/multi_search", {"searches": part})
            with self._rest.reading():
                results = answer.body["results"]
                bad = [each for each in results if "error" in each]
                if not bad and len(results) != len(part):
                    raise LookupError("a search is missing")
            if bad:
                again = all(each.get("code") in AGAIN for each in bad)
                raise BackendError(f"{self._rest.url}: the query was refused", retryable=again)
            if any(each.get("search_cutoff") for each in results):
                raise BackendError(f"{self._rest.url}: answered in part", retryable=True)
            found += results
        return found

    async def search(
        self, terms: Mapping[str, float], limit: int, filter: Filter | None
    ) -> Sequence[Scored]:
        if not terms or limit < 1:
            return []
        await self._open()

        def work() -> Sequence[Scored]:
            with self._rest.reading():
                return self._search(terms, limit, filter)

        return await asyncio.to_thread(work)

    def _search(
        self, terms: Mapping[str, float], limit: int, wanted: Filter | None
    ) -> Sequence[Scored]:
        count, mean, found = self._frequent(list(terms))
        chosen: list[str] = []
        total = 0
        for term in sorted(found, key=lambda each: (found[each], each)):
            total += found[term]
            if chosen and total > _CANDIDATES:
                break
            chosen.append(term)
        if not chosen:
            return []
        weights = {
            term: terms[term] * log(1 + (count - df + 0.5) / (df + 0.5))
            for term, df in found.items()
        }
        hits = []
        for each in self._having(chosen, wanted):
            norm = _K1 * (1 - _B + _B * each["length"] / mean)
            pairs = zip(each["stems"], each["counts"], strict=True)
            own = {term: times for term, times in pairs if term in weights}
            # in the order of the query: sums of floats depend on it
            score = sum(
                weights[term] * own[term] / (own[term] + norm) for term in weights if term in own
            )
            hits.append((each["doc"], score))
        return sorted(hits, key=lambda hit: (-hit[1], hit[0]))[:limit]

    def _frequent(self, terms: Sequence[str]) -> tuple[int, float, dict[str, int]]:
        """Return how many documents there are, their mean length, and how many have each term."""
        first, *others = self._searched(
            [
                {"facet_by": "length", "max_facet_values": 1},
                *({"filter_by": f"terms:=[{digest(term)}]"} for term in terms),
            ]
        )
        facets = first["facet_counts"]
        mean = float(facets[0]["stats"].get("avg") or 1.0) if facets else 1.0
        df = {
            term: int(each["found"])
            for term, each in zip(terms, others, strict=True)
            if each["found"]
        }
        return int(first["found"]), mean, df

    def _having(self, terms: Sequence[str], wanted: Filter | None) -> list[Json]:
        """Return the documents that pass and have one of ``terms``."""
        condition = f"terms:=[{','.join(map(digest, terms))}]"
        if wanted is not None:
            compiled = TokenConditions("Typesense", steps=True, parts=False, there=self._there)
            condition = f"{condition} && {filter_of(pushed(compiled.only(wanted)))}"
            if operations(condition) > _OPERATIONS:
                raise UnsupportedOperationError(
                    f"Typesense takes {_OPERATIONS // 2 - 1} conditions in a filter: put values of "
                    "one field in a list ($in)"
                )
        asked = {
            "filter_by": condition, "per_page": _PAGE, "include_fields": "doc,stems,counts,length",
        }  # fmt: skip
        [first] = self._searched([asked])
        pages = range(2, -(-int(first["found"]) // _PAGE) + 1)
        rest = self._searched([{**asked, "page": page} for page in pages])
        return [hit["document"] for each in (first, *rest) for hit in each["hits"]]

    def _there(self, token: str) -> bool:
        [found] = self._searched([{"filter_by": f"{FACTS}:=[{digest(token)}]"}])
        return int(found["found"]) > 0

    async def documents(self) -> Mapping[str, str]:
        await self._open()

        def work() -> dict[str, str]:
            query = urlencode({"include_fields": "doc,digest"})
            path = f"/collections/{self._name}/documents/export?{query}"
            rows: Any = self._rest.ask("GET", path, many=True).body
            with self._rest.reading():
                return {each["doc"]: each["digest"] for each in rows}

        return await asyncio.to_thread(work)

    async def salient(self, ids: Sequence[str], limit: int) -> Mapping[str, float]:
        await self._open()

        def work() -> Mapping[str, float]:
            with self._rest.reading():
                return self._salient(ids, limit)

        return await asyncio.to_thread(work)

    def _salient(self, ids: Sequence[str], limit: int) -> Mapping[str, float]:
        if not ids:
            return {}
        names = ",".join(id_of(each) for each in ids)
        [found] = self._searched([{"filter_by": f"id:[{names}]", "per_page": _PAGE}])
        rows = [hit["document"] for hit in found["hits"]]
        terms = sorted({term for each in rows for term in each["stems"]})
        count, _, df = self._frequent(terms)
        weights: dict[str, float] = {}
        for each in rows:
            for term, times in zip(each["stems"], each["counts"], strict=True):
                idf = log(1 + (count - df[term] + 0.5) / (df[term] + 0.5)) if term in df else 0.0
                weights[term] = weights.get(term, 0.0) + times / each["length"] * idf
        return best(weights, limit)

    async def aclose(self) -> None:
        await asyncio.to_thread(self._rest.close)
        self._ready = False
