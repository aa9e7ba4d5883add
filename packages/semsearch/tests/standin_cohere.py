"""What a local server answers in place of Cohere's API 2: ``/v2/embed`` and ``/v2/rerank``.

Strict, after the published ``cohere-openapi.yaml``: the bearer token, required and unknown fields,
types, enumerations and limits; ``{"id", "message"}`` is the body of each refusal. What is wrong in
its form is 422, what is wrong in its meaning 400, an unknown model 404.
"""

from collections.abc import Callable
from typing import Any

from standin import Answer, Request

Json = dict[str, Any]
KINDS = {"search_document", "search_query", "classification", "clustering", "image"}
TYPES = {"float", "int8", "uint8", "binary", "ubinary", "base64"}
SIZES = {
    "embed-v4.0": 1536,
    "embed-english-v3.0": 1024,
    "embed-multilingual-v3.0": 1024,
    "embed-english-light-v3.0": 384,
    "embed-multilingual-light-v3.0": 384,
}
CHOICES = {256, 512, 1024, 1536}
RERANKERS = {"rerank-v4.0-pro", "rerank-v4.0-fast", "rerank-v3.5", "rerank-english-v3.0",
             "rerank-multilingual-v3.0"}  # fmt: skip
_EMBED: dict[str, type] = {
    "model": str, "texts": list, "images": list, "inputs": list, "input_type": str,
    "max_tokens": int, "output_dimension": int, "embedding_types": list, "truncate": str,
    "priority": int,
}  # fmt: skip
_RERANK: dict[str, type] = {
    "model": str, "query": str, "documents": list, "top_n": int, "max_tokens_per_doc": int,
    "priority": int,
}  # fmt: skip


class Refused(Exception):
    """The words of the refusal, and the status."""

    def __init__(self, said: str, status: int = 400) -> None:
        super().__init__(said)
        self.status = status


class CohereStandIn:
    """Answers requests that carry ``api_key``; vectors are made by ``embed``."""

    def __init__(self, api_key: str, embed: Callable[[str, int], list[float]]) -> None:
        self._api_key, self._embed = api_key, embed

    def __call__(self, request: Request) -> Answer:
        """Answer as the API is documented to."""
        routes = {"/v2/embed": self._embedded, "/v2/rerank": self._reranked}
        made = routes.get(request.path)
        try:
            if request.headers.get("authorization") != f"Bearer {self._api_key}":
                raise Refused("invalid api token", 401)
            if made is None or request.method != "POST":
                raise Refused("not found", 404)
            if not request.headers.get("content-type", "").startswith("application/json"):
                raise Refused("invalid request: content type must be application/json")
            return 200, made(request.body)
        except Refused as exc:
            return exc.status, {"id": "request-1", "message": str(exc)}

    def _embedded(self, body: Any) -> Json:
        _checked(body, _EMBED, {"model", "input_type"})
        if sum(name in body for name in ("texts", "images", "inputs")) != 1:
            raise Refused("invalid request: must provide exactly one of texts, images or inputs")
        texts, model = _texts(body, "texts"), body["model"]
        if not 0 < len(texts) <= 96:
            raise Refused(
                f"invalid request: total number of texts must be at most 96 - received {len(texts)}"
            )
        if model not in SIZES:
            raise Refused(
                f"model '{model}' not found, make sure the correct model ID was used", 404
            )
        if body["input_type"] not in KINDS:
            raise Refused("invalid request: valid input_type must be provided with the model")
        if body.get("truncate", "END") not in {"NONE", "START", "END"}:
            raise Refused("invalid request: truncate must be one of NONE, START or END", 422)
        kinds = _texts(body, "embedding_types") or ["float"]
        if set(kinds) - TYPES:
            raise Refused("invalid request: valid embedding_types must be provided", 422)
        assert kinds == ["float"]  # no other is made here
        size = body.get("output_dimension", SIZES[model])
        if "output_dimension" in body and (model != "embed-v4.0" or size not in CHOICES):
            raise Refused(f"invalid request: output_dimension {size} is not supported by {model}")
        rows = [self._embed(text, size) for text in texts]
        return {
            "id": "request-1",
            "embeddings": {"float": rows},
            "texts": texts,
            "response_type": "embeddings_by_type",
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 1}},
        }

    def _reranked(self, body: Any) -> Json:
        _checked(body, _RERANK, {"model", "query", "documents"})
        documents = _texts(body, "documents")
        if not body["query"]:
            raise Refused("invalid request: query must not be empty")
        if not 0 < len(documents) <= 1000:
            raise Refused("invalid request: documents must be 1 to 1000")
        if not all(documents):
            raise Refused("invalid request: documents must not be empty")
        if body["model"] not in RERANKERS:
            raise Refused(f"model '{body['model']}' not found", 404)
        top = body.get("top_n", len(documents))
        if top < 1:
            raise Refused("invalid request: top_n must be at least 1", 422)
        scores = [
            {"index": n, "relevance_score": 1 / (1 + len(text))} for n, text in enumerate(documents)
        ]
        best = sorted(scores, key=lambda score: -score["relevance_score"])[:top]
        meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
        return {"id": "request-1", "results": best, "meta": meta}


def _checked(body: Any, known: dict[str, type], required: set[str]) -> None:
    if not isinstance(body, dict):
        raise Refused("invalid request: the body is no JSON object")
    if unknown := sorted(body.keys() - known.keys()):
        raise Refused(f"unknown field: parameter '{unknown[0]}' is not a valid field", 422)
    if missing := sorted(required - body.keys()):
        raise Refused(f"invalid request: {missing[0]} is required")
    for name, value in body.items():
        if type(value) is not known[name]:
            raise Refused(f"invalid type: parameter {name} is of type {type(value).__name__}", 422)
    if not 0 <= body.get("priority", 0) <= 999:
        raise Refused("invalid request: priority must be between 0 and 999", 422)


def _texts(body: Json, name: str) -> list[str]:
    items: list[str] = body.get(name, [])
    if not all(isinstance(item, str) for item in items):
        raise Refused(f"invalid type: parameter {name} must be strings", 422)
    return items
