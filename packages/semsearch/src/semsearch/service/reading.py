"""The texts of documents that a store told of and left unread."""

from collections.abc import Container, Sequence

from ..ports import Stored, VectorStore

_READ = 500


async def read(
    store: VectorStore, documents: Sequence[Stored], needed: Container[str] | None = None
) -> Sequence[Stored]:
    """Return documents with the texts of those that are needed, all by default.

    What changed meanwhile comes as it is now, and what is gone is left out: the store tells of it
    when it is asked for changes again.
    """
    unread = [e.id for e in documents if e.unread and (needed is None or e.id in needed)]
    if not unread:
        return documents
    there: dict[str, Stored] = {}
    for start in range(0, len(unread), _READ):
        there |= await store.get(unread[start : start + _READ])
    gone = set(unread) - there.keys()
    return [there.get(each.id, each) for each in documents if each.id not in gone]
