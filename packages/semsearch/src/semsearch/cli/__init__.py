"""The command ``semsearch``: index a folder, search it, measure it."""

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from .._common.urls import redact
from ..errors import ConfigurationError, DocumentNotFound, SemSearchError
from ..registry import embedder_from, local_page
from ..service import SearchService
from ..settings import Settings
from . import pruning
from .files import documents_of
from .showing import as_json, bar, nobody_listens, print_hits, print_json, say_what_can_be_said

Command = Callable[[argparse.Namespace], Coroutine[Any, Any, int]]
_READERS = frozenset({"search", "similar", "eval", "stats"})
_BY_HASHING = "parts of words alone are compared (hashing): --embedder light knows meanings as well"
_LAST_PORT = 65535
_FLEETING = frozenset({"memory://", "qdrant://"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 nothing found, 2 wrong use."""
    say_what_can_be_said()
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level="ERROR")
    command: Command = arguments.command
    try:
        code = asyncio.run(command(arguments))
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has seen enough
        nobody_listens()
        return 141
    except DocumentNotFound as exc:
        print(f"semsearch: {exc}", file=sys.stderr)
        return 1
    except SemSearchError as exc:
        print(f"semsearch: {exc}", file=sys.stderr)
        return 2
    except OSError as exc:
        print(f"semsearch: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("semsearch: interrupted", file=sys.stderr)
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="semsearch", description="Semantic and keyword search.")
    release = version("semsearch")
    parser.add_argument("--version", action="version", version=f"%(prog)s {release}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(command=run)
        made.add_argument("--url", help="the index; else SEMSEARCH_URL or SEMSEARCH_CONFIG")
        made.add_argument(
            "--keyword", metavar="URL", help="the keyword index, for example tantivy or a URL; bm25"
        )
        made.add_argument("--embedder", choices=["hashing", "light"], help="what makes the vectors")
        if name in _READERS:
            made.add_argument("--json", action="store_true", help="print one line of JSON")
        return made

    index = add("index", _index, "index the text files of a folder, or a .jsonl of documents")
    index.add_argument("path", type=Path)
    index.add_argument(
        "--prune", action="store_true",
        help="delete the documents that came from this folder and whose files are gone",
    )  # fmt: skip
    index.add_argument(
        "--yes", action="store_true", help="prune even if most or all of the files are gone"
    )
    search = add("search", _search, "search the index")
    search.add_argument("query")
    search.add_argument("--limit", type=int, default=10)
    search.add_argument("--filter", type=_json, help='JSON, for example {"folder": "notes"}')
    search.add_argument("--expand", action="store_true", help="add words of the best hits")
    similar = add("similar", _similar, "list the documents nearest to one")
    similar.add_argument("document_id")
    similar.add_argument("--limit", type=int, default=10)
    measure = add("eval", _eval, "measure with queries.jsonl and qrels.tsv of a folder")
    measure.add_argument("path", type=Path)
    add("stats", _stats, "print the figures of the index")
    serve = add("serve", _serve, "search the index in a browser, on this machine only")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on; 127.0.0.1")
    serve.add_argument("--port", type=_port, default=8322, help="0: a free one; 8322")
    serve.add_argument(
        "--facet", action="append", default=[], metavar="NAME",
        help="metadata to narrow by; may be given several times",
    )  # fmt: skip
    serve.add_argument("--title", default="Search", help="heading of the page")
    serve.add_argument(
        "--allowed-host", action="append", default=[], metavar="NAME",
        help="a further name by which browsers may call it",
    )  # fmt: skip
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= _LAST_PORT):
        raise argparse.ArgumentTypeError(f"not a port, 0 to {_LAST_PORT}: {text!r}")
    return int(text)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"not JSON: {text!r}") from exc


@contextlib.asynccontextmanager
async def _service(
    arguments: argparse.Namespace, *, creates: bool = False
) -> AsyncGenerator[SearchService, None]:
    settings = Settings.from_url(arguments.url) if arguments.url else Settings.discover()
    if settings is None:
        raise ConfigurationError(
            "no index is named: give --url sqlite:///search.db, or set SEMSEARCH_URL"
        )
    url = settings.vector_db.full_url()
    if url in _FLEETING:
        raise ConfigurationError(f"{url} ends with this command: give --url sqlite:///search.db")
    if not creates:  # a name with a slip of the pen must not make an empty index
        indexing = replace(settings.indexing, auto_index=False)
        settings = replace(settings, indexing=indexing)
    if arguments.keyword:
        search = replace(settings.search, keyword=arguments.keyword)
        settings = replace(settings, search=search)
    embedder = None
    if creates and not arguments.embedder and settings.embeddings.provider is None:
        print(_BY_HASHING, file=sys.stderr)
    if arguments.embedder:
        chosen = Settings.from_mapping({"embeddings": {"provider": arguments.embedder}})
        embedder = embedder_from(chosen.embeddings, settings.search.language)
    async with SearchService(settings, embedder=embedder) as service:
        try:
            # opens the index, so that its time is none of a search; counting costs more on servers
            with contextlib.suppress(DocumentNotFound):
                await service.get("-")
        except ConfigurationError as exc:
            if "was made with model" in str(exc):
                raise ConfigurationError(f"{exc}; --embedder names the model") from exc
            if creates or "auto_index" not in str(exc):
                raise
            text = f"there is no index {redact(url)}: semsearch index DIR makes one"
            raise ConfigurationError(text) from exc
        yield service


async def _index(arguments: argparse.Namespace) -> int:
    if arguments.prune:
        pruning.check(arguments.path)
    read = await asyncio.to_thread(documents_of, arguments.path)
    async with _service(arguments, creates=True) as service:
        with bar(len(read.documents)) as advance:
            report = await service.index_batch(read.documents, on_progress=advance)
        for line in read.report():
            print(line, file=sys.stderr)
        print(
            f"{len(report.indexed)} indexed, {len(report.updated)} updated, "
            f"{len(report.unchanged)} unchanged"
        )
        if arguments.prune:
            print(f"{await pruning.prune(service, read, yes=arguments.yes)} pruned")
        elif gone := await pruning.missing(service, read):
            print(f"{gone} documents of files that are gone: --prune deletes them", file=sys.stderr)
    return 0


async def _search(arguments: argparse.Namespace) -> int:
    async with _service(arguments) as service:
        found = await service.search(
            arguments.query,
            limit=arguments.limit,
            filters=arguments.filter,
            query_expansion=arguments.expand,
        )
    if arguments.json:
        print_json(
            {
                "hits": [as_json(hit) for hit in found],
                "total": found.total,
                "took": found.took,
                "degraded": found.degraded,
            }
        )
    else:
        print_hits(found)
        print(f"{found.total} hits in {found.took * 1000:.1f} ms", file=sys.stderr)
    if found.degraded:
        print(f"semsearch: part of the search did not answer: {found.degraded}", file=sys.stderr)
    return 0 if found else 1


async def _similar(arguments: argparse.Namespace) -> int:
    async with _service(arguments) as service:
        found = await service.find_similar(arguments.document_id, arguments.limit)
    if arguments.json:
        print_json({"hits": [as_json(hit) for hit in found]})
    else:
        print_hits(found)
    return 0 if found else 1


async def _eval(arguments: argparse.Namespace) -> int:
    queries: dict[str, str] = {}
    qrels: dict[str, dict[str, float]] = {}
    try:
        for line in _lines(arguments.path / "queries.jsonl"):
            found = json.loads(line)
            queries[str(found["id"])] = found["text"]
        for number, line in enumerate(_lines(arguments.path / "qrels.tsv")):
            name, document, grade = line.split("\t")
            if number or not _is_heading(grade):
                qrels.setdefault(name, {})[document] = float(grade)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ConfigurationError(f"{str(arguments.path)!r} is no collection: {exc}") from exc
    async with _service(arguments) as service:
        kinds: tuple[tuple[str, dict[str, Any]], ...] = (
            ("keywords", {"alpha": 0.0, "threshold": 1.0}),
            ("vectors", {"hybrid": False}),
            ("hybrid", {}),
            ("hybrid, expanded", {"query_expansion": True}),
        )
        scores = {
            title: await service.evaluate(queries, qrels, **options) for title, options in kinds
        }
    if arguments.json:
        print_json({title: asdict(score) for title, score in scores.items()})
        return 0
    for title, score in scores.items():
        figures = f"nDCG@10 {score.ndcg:.3f}  recall {score.recall:.3f}  MRR {score.mrr:.3f}"
        print(f"{title:18} {figures}")
    return 0


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text("utf-8-sig").split("\n") if line.strip()]


def _is_heading(grade: str) -> bool:
    try:
        float(grade)
    except ValueError:
        return True
    return False


async def _stats(arguments: argparse.Namespace) -> int:
    async with _service(arguments) as service:
        documents = (await service.get_stats()).documents
    if arguments.json:
        print_json({"documents": documents})
    else:
        print(f"documents {documents}")
    return 0


async def _serve(arguments: argparse.Namespace) -> int:
    async with _service(arguments) as service:
        site = local_page(
            service,
            host=arguments.host,
            port=arguments.port,
            facets=arguments.facet or ["folder", "type", "language"],
            title=arguments.title,
            allowed_hosts=arguments.allowed_host,
        )
        print(f"open {site.url}", flush=True)

        def on_signals(stop: Callable[[], None]) -> None:
            loop = asyncio.get_running_loop()
            for each in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(each, stop)

        await site.serve(on_signals)
    return 0
