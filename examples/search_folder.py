"""Search in the text files of a folder, by words and by meaning: semsearch in a file.

``python search_folder.py FOLDER "what is asked"`` indexes what is new or changed, then searches.
Without arguments it makes a folder of three notes and asks about them.
"""

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from semsearch import SearchDocument, SearchService
from semsearch.adapters.embedders import HashingEmbedder

NOTES = {
    "tides.txt": "The moon pulls the seas: twice a day the water is high.",
    "boats.txt": "Boats wait in the harbour until the tide lets them out.",
    "taxes.txt": "The meeting was about taxes, and about who pays them.",
}


def documents(folder: Path) -> Iterator[SearchDocument]:
    """Yield the text files, each under its path."""
    for file in sorted(folder.rglob("*.txt")):
        about = {"folder": file.parent.name, "size": file.stat().st_size}
        text = file.read_text(encoding="utf-8", errors="replace")
        yield SearchDocument(str(file.relative_to(folder)), text, about)


async def search(folder: Path, query: str) -> None:
    """Print the best three hits with the words that matched."""
    # WordLlamaEmbedder() (extra light) knows meanings; this one, without a model, parts of words
    url = f"sqlite:///{folder}/.search.db"
    async with SearchService.from_url(url, embedder=HashingEmbedder()) as service:
        result = await service.index_batch(list(documents(folder)))
        print(f"{len(result.indexed)} files indexed")
        found = await service.search(query, limit=3, highlight=True)
        for hit in found:
            print(f"{hit.score:.2f} {hit.id}: {' … '.join(hit.highlights) or hit.content[:60]}")


def main() -> None:
    """Search in the folder that is named, or in one that is made."""
    if len(sys.argv) == 3:
        asyncio.run(search(Path(sys.argv[1]), sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as made:
        for name, text in NOTES.items():
            (Path(made) / name).write_text(text, encoding="utf-8")
        asyncio.run(search(Path(made), "tide"))


if __name__ == "__main__":
    main()
