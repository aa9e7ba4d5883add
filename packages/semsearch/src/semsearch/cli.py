"""The command ``semsearch``: index a folder, search it, measure it."""

import argparse
import asyncio
import contextlib
import html
import json
import logging
import re
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

from .errors import ConfigurationError, DocumentNotFound, InvalidDocument, SemSearchError
from .indexing import check_id
from .models import SearchDocument, SearchResult
from .service import SearchService
from .settings import Settings

Command = Callable[[argparse.Namespace], Coroutine[Any, Any, int]]
_SUFFIXES = {".txt", ".md", ".rst", ".srt", ".vtt", ".html", ".csv", ".json", ".py"}
_MAX_FILE = 10_000_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 nothing found, 2 wrong use."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level="ERROR")
    command: Command = arguments.command
    try:
        return asyncio.run(command(arguments))
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
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="semsearch", description="Semantic and keyword search.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(command=run)
        made.add_argument("--url", help="the index; else SEMSEARCH_URL or SEMSEARCH_CONFIG")
        made.add_argument("--embedder", choices=["hashing", "light"], help="what makes the vectors")
        return made

    index = add("index", _index, "index the text files of a folder, or a .jsonl of documents")
    index.add_argument("path", type=Path)
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
    return parser


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"not JSON: {text!r}") from exc


@contextlib.asynccontextmanager
async def _service(arguments: argparse.Namespace) -> AsyncGenerator[SearchService, None]:
    settings = Settings.from_url(arguments.url) if arguments.url else Settings.discover()
    if settings is None:
        raise ConfigurationError(
            "no index is named: give --url sqlite:///search.db, or set SEMSEARCH_URL"
        )
    from .registry import embedder_from

    embedder = None
    if arguments.embedder:
        chosen = Settings.from_mapping({"embeddings": {"provider": arguments.embedder}})
        embedder = embedder_from(chosen.embeddings, settings.search.language)
    async with SearchService(settings, embedder=embedder) as service:
        yield service


async def _index(arguments: argparse.Namespace) -> int:
    documents = await asyncio.to_thread(_documents, arguments.path)
    with _bar(len(documents)) as advance:
        async with _service(arguments) as service:
            report = await service.index_batch(documents, on_progress=advance)
    print(
        f"{len(report.indexed)} indexed, {len(report.updated)} updated, "
        f"{len(report.unchanged)} unchanged"
    )
    return 0


def _documents(path: Path) -> list[SearchDocument]:
    if not path.exists():
        raise ConfigurationError(f"there is no {str(path)!r}")
    return list(_lines(path) if path.suffix == ".jsonl" else _files(path))


def _files(folder: Path) -> Iterator[SearchDocument]:
    for file in [folder] if folder.is_file() else sorted(folder.rglob("*")):
        if file.suffix.lower() in _SUFFIXES and file.is_file() and not file.is_symlink():
            if file.stat().st_size > _MAX_FILE:
                print(f"left out, over {_MAX_FILE} bytes: {file}", file=sys.stderr)
                continue
            name = file.name if folder.is_file() else file.relative_to(folder).as_posix()
            metadata = {"folder": Path(name).parent.as_posix(), "type": file.suffix.lstrip(".")}
            try:
                check_id(name)
            except InvalidDocument as exc:
                print(f"left out: {exc}", file=sys.stderr)
                continue
            yield SearchDocument(name, file.read_text("utf-8", "replace"), metadata)


def _lines(file: Path) -> Iterator[SearchDocument]:
    for number, raw in enumerate(file.read_bytes().splitlines(), start=1):
        try:
            line = raw.decode()
            found = json.loads(line)
            yield SearchDocument(str(found["id"]), found["content"], found.get("metadata"))
        except (ValueError, KeyError, TypeError) as exc:
            raise ConfigurationError(
                f"line {number} of {str(file)!r} is no document: {exc}"
            ) from exc


@contextlib.contextmanager
def _bar(total: int) -> Any:
    """Show a progress bar where rich and a terminal are there."""
    try:
        from rich.progress import Progress
    except ImportError:
        yield lambda _: None
        return
    with Progress(disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("indexing", total=total)
        yield lambda done: progress.update(task, completed=done)


async def _search(arguments: argparse.Namespace) -> int:
    async with _service(arguments) as service:
        found = await service.search(
            arguments.query,
            limit=arguments.limit,
            filters=arguments.filter,
            query_expansion=arguments.expand,
        )
    for hit in found:
        _print(hit)
    print(f"{found.total} hits in {found.took * 1000:.1f} ms", file=sys.stderr)
    return 0 if found else 1


async def _similar(arguments: argparse.Namespace) -> int:
    async with _service(arguments) as service:
        for hit in await service.find_similar(arguments.document_id, arguments.limit):
            _print(hit)
    return 0


def _print(hit: SearchResult) -> None:
    print(f"{hit.score:.3f}  {hit.id}")
    start, end = ("\033[1;33m", "\033[0m") if sys.stdout.isatty() else ("[", "]")
    for passage in hit.highlights or []:
        marked = re.sub("<mark>(.*?)</mark>", rf"{start}\1{end}", passage)
        # documents may hold control sequences of terminals
        plain = "".join(c for c in html.unescape(marked) if c.isprintable() or c in "\033 ")
        print(f"       {plain if start != '[' else plain.replace(chr(27), '')}")


async def _eval(arguments: argparse.Namespace) -> int:
    queries: dict[str, str] = {}
    qrels: dict[str, dict[str, float]] = {}
    try:
        for line in (arguments.path / "queries.jsonl").read_text("utf-8").splitlines():
            found = json.loads(line)
            queries[str(found["id"])] = found["text"]
        for line in (arguments.path / "qrels.tsv").read_text("utf-8").splitlines()[1:]:
            name, document, grade = line.split("\t")
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
        for title, options in kinds:
            score = await service.evaluate(queries, qrels, **options)
            figures = f"nDCG@10 {score.ndcg:.3f}  recall {score.recall:.3f}  MRR {score.mrr:.3f}"
            print(f"{title:18} {figures}")
    return 0


async def _stats(arguments: argparse.Namespace) -> int:
    async with _service(arguments) as service:
        stats = await service.get_stats()
    print(f"documents {stats.documents}")
    return 0
