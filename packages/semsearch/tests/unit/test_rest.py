"""Calls over HTTP: what servers and proxies answer beside what they should."""

import contextlib
import functools
import gzip
import random
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from semsearch import BackendError, ConfigurationError, EmbeddingError
from semsearch.ports import Changes
from semsearch.testing import DIMENSION, MODEL, document
from standin import StandIn

pytest.importorskip("httpx")

from semsearch.adapters import rest as module
from semsearch.adapters.elasticsearch import ElasticsearchIndex, ElasticsearchStore
from semsearch.adapters.openai import OpenAIEmbedder
from semsearch.adapters.pinecone import PineconeStore
from semsearch.adapters.rest import Rest
from semsearch.adapters.typesense import TypesenseIndex
from semsearch.adapters.weaviate import WeaviateStore
from standin_elasticsearch import ElasticsearchStandIn
from standin_pinecone import PineconeStandIn
from standin_typesense import TypesenseStandIn
from standin_weaviate import WeaviateStandIn


@contextmanager
def spoken(*answers: bytes) -> Iterator[str]:
    """Serve raw bytes, one connection an answer; what is cut off is cut off."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for each in answers:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(each)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(60)
        assert not thread.is_alive()


def rest(url: str, pauses: list[float], **more: Any) -> Rest:
    return Rest(url, {}, reason=lambda _: "", sleep=pauses.append, rng=random.Random(1), **more)


OK = b"HTTP/1.1 200 OK\r\nconnection: close\r\n"
PACKED = gzip.compress(b'{"fine": 1}')
FINE = OK + b'content-length: 11\r\n\r\n{"fine": 1}'


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"nonsense\r\n\r\n",
        OK + b'content-length: 99\r\n\r\n{"fi',
        OK + b'transfer-encoding: chunked\r\n\r\n4\r\n{"fi\r\n',
        OK + b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope",
        b"HTTP/1.1 522 \r\nconnection: close\r\ncontent-length: 6\r\n\r\n<html>",
    ],
)  # fmt: skip
def test_what_breaks_off_is_asked_again(broken: bytes) -> None:
    pauses: list[float] = []
    with spoken(broken, FINE) as url:
        made = rest(url, pauses)
        assert made.ask("GET", "/").body == {"fine": 1}
        made.close()
    assert len(pauses) == 1


@pytest.mark.parametrize(
    "good",
    [
        FINE,
        OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b" % (len(PACKED), PACKED),
        OK + b'transfer-encoding: chunked\r\n\r\n4\r\n{"fi\r\n7\r\nne": 1}\r\n0\r\n\r\n',
    ],
)  # fmt: skip
def test_ways_to_answer(good: bytes) -> None:
    with spoken(good) as url:
        made = rest(url, [])
        assert made.ask("GET", "/").body == {"fine": 1}
        made.close()


def test_a_redirect_is_not_followed() -> None:
    moved = b"HTTP/1.1 307 T\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"
    with spoken(moved) as url:
        made = rest(url, [])
        with pytest.raises(BackendError, match="HTTP 307"):
            made.ask("POST", "/", {})
        made.close()


def test_an_answer_without_an_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bytes that may be kept nothing more is read: the rest of the answer never comes."""
    monkeypatch.setattr(module, "_MOST_BYTES", 1000)
    long = OK + b"content-length: 99999999\r\n\r\n" + b" " * 5000
    with spoken(long) as url:
        made = rest(url, [])
        with pytest.raises(BackendError, match="over 1000 bytes"):
            made.ask("GET", "/")
        made.close()


def test_an_answer_that_drips_is_cut() -> None:
    minutes = iter(range(0, 100_000, 660))
    with spoken(FINE) as url:
        made = rest(url, [], clock=lambda: float(next(minutes)), attempts=1)
        with pytest.raises(BackendError, match="ReadTimeout"):
            made.ask("GET", "/")
        made.close()


@pytest.mark.parametrize("key", ["sk-secret\n", "sk-sécret", " sk-secret", "sk-se\0cret"])
@pytest.mark.parametrize(
    "made",
    [
        lambda key: OpenAIEmbedder(api_key=key),
        lambda key: PineconeStore("pinecone://h/docs", api_key=key),
        lambda key: WeaviateStore("weaviate://h/Docs", api_key=f"x{key}"),
        lambda key: TypesenseIndex("typesense://h/docs", api_key=key),
        lambda key: ElasticsearchStore("elasticsearch://h/docs", api_key=f"x{key}"),
    ],
)
def test_a_key_that_no_header_holds(made: Callable[[str], object], key: str) -> None:
    if key.startswith(" "):
        key += " "
    with pytest.raises(ConfigurationError, match="cannot be sent: it has a line break"):
        made(key)
    try:
        made(key)
    except ConfigurationError:
        assert "cret" not in traceback.format_exc().replace("sk-secret", "")


@pytest.mark.parametrize("host", ["h:99999", "h:x", "[::1", "h h", "h:-1"])
@pytest.mark.parametrize(
    ("adapter", "scheme"),
    [
        (PineconeStore, "pinecone"),
        (WeaviateStore, "weaviate"),
        (TypesenseIndex, "typesense"),
        (ElasticsearchStore, "elasticsearch"),
        (ElasticsearchIndex, "elasticsearch"),
    ],
)
def test_a_host_that_is_none(adapter: Any, scheme: str, host: str) -> None:
    with pytest.raises(ConfigurationError):
        adapter(f"{scheme}://{host}/docs", api_key="k")


def test_an_address_of_ipv6() -> None:
    index = TypesenseIndex("typesense://[::1]:1/docs?tls=off", api_key="k")
    assert index._rest.url == "http://[::1]:1"


ODD: list[Any] = [
    [], {}, "text", 7, None, {"data": None}, {"results": [{}]}, b"", [[]], {"hits": {}},
]  # fmt: skip
"""JSON, or nothing, and not what an API says."""


async def only_named(server: Any, wrong: Any, *calls: Callable[[], Any], sparse: bool) -> None:
    """Ask while a server talks nonsense; where it leaves out what is empty, ``{}`` is none."""
    for call in calls:
        server.faults = [(200, wrong)] * 99
        if sparse and isinstance(wrong, dict):
            with contextlib.suppress(BackendError):
                await call()
        else:
            with pytest.raises(BackendError):
                await call()
        server.faults = []


@pytest.mark.parametrize("wrong", ODD, ids=repr)
async def test_stores_say_that_an_answer_has_another_shape(wrong: Any) -> None:
    made = [document("a"), document("b")]
    with PineconeStandIn() as pinecone, WeaviateStandIn() as weaviate, \
            ElasticsearchStandIn() as elastic:  # fmt: skip
        hosted = PineconeStore(f"{pinecone.url}/docs?tls=off", api_key="key")
        hosted._points._link.sleep = lambda _: None  # type: ignore[attr-defined]  # time is ours
        for server, store in (
            (pinecone, hosted),
            (weaviate, WeaviateStore(f"{weaviate.url}/Docs")),
            (elastic, ElasticsearchStore(f"{elastic.url}/docs")),
        ):
            await store.open(MODEL, DIMENSION, create=True)
            await store.upsert(made)
            await only_named(
                server, wrong,
                functools.partial(store.upsert, made),
                functools.partial(store.count, None),
                functools.partial(store.get, ["a"]),
                functools.partial(store.search, made[0].vector, 3, None),
                sparse=store is hosted,
            )  # fmt: skip
            await store.aclose()


@pytest.mark.parametrize("wrong", ODD, ids=repr)
async def test_words_say_that_an_answer_has_another_shape(wrong: Any) -> None:
    made = [document("a"), document("b")]
    with ElasticsearchStandIn() as elastic, TypesenseStandIn() as typesense:
        for server, index in (
            (elastic, ElasticsearchIndex(f"{elastic.url}/words")),
            (typesense, TypesenseIndex(f"{typesense.url}/words?tls=off", api_key="key")),
        ):
            await index.apply(Changes(upserted=made))
            await only_named(
                server, wrong,
                functools.partial(index.apply, Changes(upserted=made)),
                functools.partial(index.search, {"word": 1.0}, 3, None),
                functools.partial(index.salient, ["a"], 3),
                sparse=False,
            )  # fmt: skip
            await index.aclose()


def test_a_model_that_answers_something_else() -> None:
    for each in ODD:
        with StandIn(lambda _, each=each: (200, each)) as server:  # type: ignore[misc]
            embedder = OpenAIEmbedder(api_key="k", url=server.url, attempts=1)
            with pytest.raises(EmbeddingError):
                embedder.embed_documents(["a"])
            embedder.close()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("security_exception", "security_exception"),
        ("c2VjcmV0", ""),
        ("ApiKey", ""),
        ("unknown key 'c2VjcmV0'", ""),
        ({"reason": "c2VjcmV0"}, ""),
        (None, "None"),
    ],
)
def test_a_server_that_repeats_the_key(said: Any, told: str) -> None:
    with StandIn(lambda _: (401, {"error": said})) as server:
        headers = {"authorization": "ApiKey c2VjcmV0"}
        made = Rest(server.url, headers, reason=lambda found: found["error"])
        with pytest.raises(BackendError) as found:
            made.ask("GET", "/")
        made.close()
        assert str(found.value) == f"{server.url}: HTTP 401 {told}".rstrip()
        assert "c2VjcmV0" not in "".join(traceback.format_exception(found.value))
