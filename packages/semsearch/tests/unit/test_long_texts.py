"""Texts of any length are embedded in bounded memory."""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from semsearch import Chunker, SearchDocument, SearchService, showing, vectors
from semsearch.adapters import chunked, embedders, sqlite_rows
from semsearch.adapters.embedders import CallableEmbedder, HashingEmbedder, WordLlamaEmbedder
from semsearch.adapters.local_models import SentenceTransformerEmbedder
from semsearch.service import maintenance, writing


def test_wordllama_gets_pieces_of_like_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long text has the mean of its pieces; a call holds few of them, and pads none much."""
    monkeypatch.setattr(embedders, "_PIECE", 10)
    monkeypatch.setattr(embedders, "_PIECES", 4)
    calls: list[list[str]] = []

    def embed(texts: list[str], batch_size: int) -> Any:
        assert len(texts) <= batch_size == 4
        calls.append(texts)
        made = np.zeros((len(texts), 256), np.float32)
        for row, text in zip(made, texts, strict=True):
            row[0] = text.count("a") / max(1, len(text))
            row[1] = text.count("b") / max(1, len(text))
        return made

    made = WordLlamaEmbedder()
    made._loaded = SimpleNamespace(embed=embed)
    rows = made.embed_documents(["a" * 35 + "b" * 5, "", "b", "ab" * 20])
    assert all(len(text) <= 10 for texts in calls for text in texts)
    assert [len(text) for texts in calls for text in texts] == [0, 1, *[10] * 8]
    lengths = np.linalg.norm(rows, axis=1)
    assert lengths == pytest.approx([1, 0, 1, 1])
    assert rows[0][:2] == pytest.approx(np.array([35, 5]) / np.hypot(35, 5))
    assert rows[3][0] == pytest.approx(rows[3][1])


def test_sentence_transformers_gets_what_its_window_can_hold() -> None:
    """Splitting 50 MB into tokens to keep 256 of them would take minutes."""
    seen: list[int] = []

    def encode(texts: list[str], **_: Any) -> Any:
        seen.extend(map(len, texts))
        return np.ones((len(texts), 3), np.float32)

    made = SentenceTransformerEmbedder(model="none")
    made._model = SimpleNamespace(max_seq_length=256, encode=encode)
    made.embed_documents(["word " * 1_000_000, "short"])
    made.embed_query("x" * 100_000)
    assert seen == [12_800, 5, 12_800]


def test_the_logging_of_the_process_is_left_alone() -> None:
    pytest.importorskip("wordllama")
    code = (
        "import logging; from semsearch.adapters.embedders import WordLlamaEmbedder; "
        "shape = WordLlamaEmbedder().embed_documents(['x']).shape; root = logging.getLogger(); "
        "print(root.handlers, root.level, shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", str(logging.WARNING), "(1,", "256)"], done.stderr


TEXT = ". ".join(f"Sentence {n} tells of tides and of harbours" for n in range(3000))
SEEN: set[threading.Thread] = set()


def watched(function: Callable[..., Any]) -> Callable[..., Any]:
    """Note the thread that a function is called in, but for the short text of a query."""

    def call(*args: Any) -> Any:
        if not (isinstance(args[-1], str) and args[-1] == "tides"):
            SEEN.add(threading.current_thread())
        return function(*args)

    return call


class WatchedChunker(Chunker):
    def spans(self, text: str) -> Any:
        return watched(super().spans)(text)


@pytest.mark.parametrize("url", ["memory://", "sqlite:///"])
async def test_long_texts_do_not_hold_up_the_event_loop(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reads a long text whole does so in a thread: writing, writing again, another model."""
    for module, name in (
        (writing, "check_document"),
        (writing, "digest"),
        (writing, "is_same"),
        (maintenance, "digest"),
        (vectors, "_key"),
        (sqlite_rows, "parts_of"),
        (showing, "_result"),
    ):
        monkeypatch.setattr(module, name, watched(getattr(module, name)))
    SEEN.clear()
    place = url if url == "memory://" else f"{url}{tmp_path}/index.db"
    chunker = WatchedChunker(size=50, overlap=5)
    async with SearchService.from_url(
        place, embedder=HashingEmbedder(16), chunker=chunker
    ) as search:
        documents = [SearchDocument(f"d{n}", f"{n}. {TEXT}") for n in range(3)]
        assert len((await search.index_batch(documents)).indexed) == 3
        assert len((await search.index_batch(documents)).unchanged) == 3
        await search.reindex(HashingEmbedder(32))
        asked = await search.search_many(["tides"])
    assert len(asked[0]) == 3
    assert SEEN
    assert threading.main_thread() not in SEEN


async def test_many_parts_do_not_hold_up_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cosines of parts that a search has to look at are made in a thread where they are many."""
    sizes: dict[str, list[int]] = {"cosines": [], "split": []}

    def many(name: str) -> Callable[..., Any]:
        function = getattr(chunked, name)

        def call(*args: Any) -> Any:
            sizes[name].append(len(args[0]))
            return (watched(function) if len(args[0]) > 2000 else function)(*args)

        return call

    for name in sizes:
        monkeypatch.setattr(chunked, name, many(name))
    SEEN.clear()
    # whole texts are nearest, so that no part is among the first hits
    embedder = CallableEmbedder(
        lambda texts: [[1.0, 0.1] if len(t) > 5000 or t == "tides" else [0.1, 1.0] for t in texts],
        model_id="whole",
        dimension=2,
    )
    chunker = Chunker(size=20, overlap=2)
    async with SearchService.from_url("memory://", embedder=embedder, chunker=chunker) as search:
        documents = [SearchDocument(f"d{n:02}", f"{n}. {TEXT[:9000]}") for n in range(60)]
        await search.index_batch(documents)
        found = await search.search("tides", hybrid=False, threshold=0.0, limit=60)
        assert len(found) == 60
    assert all(max(each) > 2000 for each in sizes.values())
    assert SEEN
    assert threading.main_thread() not in SEEN
