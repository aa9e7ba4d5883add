"""What adapter authors and applications test with (extra ``testing``).

``StorageSuite``, ``HistoryStoreSuite`` and ``RendererSuite`` are what every storage, history and
format passes: subclass one, give its fixture, and skip nothing; what an adapter cannot do is
declared in its ``capabilities``.
"""

import asyncio
import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from ._common.clock import FakeClock, new_id, settle, utc
from .documents import Citation, Document, Item, Section, Segment, Table, Word
from .engine import Order, Produced, produce
from .errors import ExportCancelled, ExportTooLarge, InvalidSource, StorageError
from .formats import Format
from .models import ExportFilters, ExportStatus
from .ports import HistoryStore, JobRecord, Renderer, Storage
from .settings import FormatSettings, FormatsSettings
from .sink import Control

__all__ = [
    "HOSTILE",
    "FakeClock",
    "HistoryStoreSuite",
    "RendererSuite",
    "StorageSuite",
    "documents",
    "record",
    "render",
    "settle",
    "written",
]

# Text that has broken renderers: markup, cues, formulas, controls, surrogates, scripts, length.
HOSTILE: tuple[str, ...] = (
    "plain",
    "<b>bold</b> & <script>alert(1)</script> ]]> &amp; <!-- -->",
    '<img src="file:///etc/passwd"/><a href="javascript:x">y</a>',
    "00:00:01,000 --> 00:00:02,000",
    "at 00:01:02.500 and again 00:01:03.700 he said",
    "12\n00:00:09,000 --> 00:00:10,000\nforged",
    "line one\n\nline three",
    "ends in a number\n42",
    "bare\rreturn and\x0bvertical\x0cform\u2028separator",
    "nul \x00 bell \x07 escape \x1b[31m c1 \x85\x9b del \x7f",
    "lone \ud800 surrogates \udfff and \ufffe\uffff",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "+1-2",
    "\t=tab",
    "\uff1dfull width",
    "{\\an8}top {\\b1}x",
    "{{ 7*7 }} {% raw %} ${x} #{y}",
    "# heading\n- item\n1. one\n> quote\n| cell |\n    code",
    "[link](http://example.com) ![img](x) `code` **b** _i_ ~~s~~",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 (123)",
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
    "\u202eoverride\u202c \u2066isolate\u2069",
    "\u4eca\u5929\u7684\u4f1a\u8bae \u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea e\u0301 \U0001f9e0",
    "\u0928\u092e\u0938\u094d\u0924\u0947",
    "private \ue000 use",
    "w" * 5000,
    "\u754c" * 500,
    " lead and trail ",
    "",
)


class _Bytes:
    """Collects what is written."""

    def __init__(self) -> None:
        self.data = bytearray()

    def __call__(self, block: bytes) -> None:
        self.data += block


def render(
    renderer: type[Renderer],
    document: Document,
    *,
    settings: FormatSettings | None = None,
    include_metadata: bool = True,
    max_size: int | None = None,
    control: Control | None = None,
    items: Iterable[Item] | None = None,
) -> tuple[bytes, Produced, list[str]]:
    """Return the bytes of ``document`` in a format, the figures, and what was reported."""
    known = Format(renderer.format, renderer.content_type, renderer.format, renderer=renderer)
    order = Order(
        known,
        settings or FormatsSettings().of(renderer.format),
        datetime(2026, 11, 23, 12, tzinfo=UTC),
        max_size,
        None,
        include_metadata,
    )
    out, steering = _Bytes(), control or Control()
    records: Any = document.records if items is None else items
    made = produce(order, document, records, out, steering, resolve=lambda value: value)
    return bytes(out.data), made, steering.notes()


def documents() -> dict[str, Document]:
    """Return one document of each kind, hostile text included."""
    segments = [
        Segment(text, n * 3.0, n * 3.0 + 2.5, ("Ann", "B\u00e9la <b>", None)[n % 3])
        for n, text in enumerate(HOSTILE)
    ]
    segments.append(Segment("one two", 500.0, 501.0, "Ann", (Word("one", 500.0, 500.4),)))
    return {
        "transcript": Document(
            "Talk & <title>",
            "transcript",
            segments,
            author="Ann",
            language="en",
            metadata={"duration": 93.0, "odd key": ["a", "b"]},
        ),
        "summary": Document(
            "Summary",
            "summary",
            [Section(text[:60], text, [text[:200]], 1 + n % 6) for n, text in enumerate(HOSTILE)],
        ),
        "rag": Document(
            "Answer",
            "rag",
            [
                Section("Question", "Why?", role="question"),
                Section("Answer", "Because [1].", role="answer"),
                *(Citation(text[:80], text, "http://example.com/?a=<b>", 0.5) for text in HOSTILE),
            ],
        ),
        "custom": Document(
            "Rows",
            "custom",
            [
                Table(
                    ("text", "number", "other"),
                    [[text, n * 1.5, None] for n, text in enumerate(HOSTILE)],
                )
            ],
        ),
    }


class RendererSuite:
    """The behaviour of a format. Each docstring says what to mend when the test fails."""

    kinds: tuple[str, ...] = ("transcript", "summary", "rag", "custom")

    @pytest.fixture
    def renderer(self) -> type[Renderer]:
        """Return the class under test; subclasses override this."""
        raise NotImplementedError("override the fixture 'renderer'")

    def test_declares_itself(self, renderer: type[Renderer]) -> None:
        """``format`` is a lower-case name, ``content_type`` a media type."""
        assert renderer.format == renderer.format.lower()
        assert "/" in renderer.content_type

    def test_takes_every_kind_and_any_text(self, renderer: type[Renderer]) -> None:
        """No text makes it fail; kinds that it cannot show raise ``InvalidSource``."""
        for kind, document in documents().items():
            if kind in self.kinds:
                data, made, _ = render(renderer, document)
                assert made.size == len(data) > 0
                assert made.sha256 == hashlib.sha256(data).hexdigest()
            else:
                with pytest.raises(InvalidSource):
                    render(renderer, document)

    def test_same_input_same_bytes(self, renderer: type[Renderer]) -> None:
        """Nothing of the machine, the moment or chance gets into the file."""
        for kind in self.kinds:
            first, second = (render(renderer, documents()[kind])[0] for _ in range(2))
            assert first == second

    def test_content_only(self, renderer: type[Renderer]) -> None:
        """``include_metadata=False`` gives a valid file, and not a longer one."""
        for kind in self.kinds:
            full, bare = (
                render(renderer, documents()[kind], include_metadata=on)[0] for on in (True, False)
            )
            assert 0 < len(bare) <= len(full)

    def test_empty_document(self, renderer: type[Renderer]) -> None:
        """A document without records is a valid file too."""
        for kind in self.kinds:
            document = Document("Nothing", documents()[kind].kind)
            assert render(renderer, document)[1].records == 0

    def test_is_pulled_record_by_record(self, renderer: type[Renderer]) -> None:
        """Records are written as they come: 2,000 of them are never asked for at once."""
        if "transcript" not in self.kinds:
            return
        seen = 0

        def stream() -> Iterable[Item]:
            nonlocal seen
            for seen in range(1, 2001):
                yield Segment("x", seen * 1.0, seen + 0.9)
                if seen == 1500:
                    raise KeyError("the source broke")

        with pytest.raises(KeyError):
            render(renderer, Document("Long", "transcript"), items=stream())
        assert seen == 1500

    def test_stops_when_cancelled(self, renderer: type[Renderer]) -> None:
        """Cancelled in the middle, it writes no more than a few records more."""
        if "transcript" not in self.kinds:
            return
        control, asked = Control(), 0

        def stream() -> Iterable[Item]:
            nonlocal asked
            for asked in range(100_000):
                if asked == 500:
                    control.stop()
                yield Segment("x", asked * 1.0, asked + 0.9)

        with pytest.raises(ExportCancelled):
            render(renderer, Document("Long", "transcript"), items=stream(), control=control)
        assert asked < 600

    def test_obeys_the_limit(self, renderer: type[Renderer]) -> None:
        """A file over ``max_size`` is an error, however it writes."""
        with pytest.raises(ExportTooLarge):
            render(renderer, documents()[self.kinds[0]], max_size=100)


async def written(storage: Storage, key: str, data: bytes, *, commit: bool = True) -> None:
    """Write a file as the service does: in a thread, in blocks."""

    def work() -> None:
        with storage.open_writer(key, "application/octet-stream") as writer:
            for at in range(0, len(data), 100_000):
                writer.write(data[at : at + 100_000])
            if commit:
                writer.commit()

    await asyncio.to_thread(work)


async def _read(storage: Storage, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([block async for block in storage.read(key, start, end)])


class StorageSuite:
    """The behaviour of a storage. Each docstring says what to mend when the test fails."""

    @pytest.fixture
    def storage(self) -> Storage:
        """Return an empty storage; subclasses override this."""
        raise NotImplementedError("override the fixture 'storage'")

    async def test_what_is_written_is_read(self, storage: Storage) -> None:
        """Bytes come back unchanged, whatever their number."""
        for size in (0, 1, 100_000, 2_500_001):
            data = bytes(range(256)) * (size // 256 + 1)
            await written(storage, f"folder/{size}.bin", data[:size])
            assert await _read(storage, f"folder/{size}.bin") == data[:size]
            found = await storage.head(f"folder/{size}.bin")
            assert found is not None
            assert (found.key, found.size) == (f"folder/{size}.bin", size)

    async def test_ranges(self, storage: Storage) -> None:
        """``read`` gives the bytes from ``start`` to before ``end``, clipped to the file."""
        data = bytes(i % 251 for i in range(300_000))
        await written(storage, "a/b.bin", data)
        for start, end in ((0, 1), (5, 100), (299_999, None), (100, 300_000), (0, 10**9)):
            assert await _read(storage, "a/b.bin", start, end) == data[start:end]
        assert await _read(storage, "a/b.bin", 300_000, None) == b""

    async def test_nothing_is_visible_before_commit(self, storage: Storage) -> None:
        """Neither while it is written nor after an abort is there a file."""
        writer = await asyncio.to_thread(storage.open_writer, "k/new.bin", "text/plain")
        await asyncio.to_thread(writer.write, b"x" * 300_000)
        assert await storage.head("k/new.bin") is None
        assert [found async for found in storage.list_keys()] == []
        await asyncio.to_thread(writer.abort)
        await asyncio.to_thread(writer.abort)
        assert await storage.head("k/new.bin") is None

    async def test_an_error_leaves_the_earlier_file(self, storage: Storage) -> None:
        """A second write under a key replaces the file at its commit, or not at all."""
        await written(storage, "k/f.bin", b"first")
        await written(storage, "k/f.bin", b"second", commit=False)
        assert await _read(storage, "k/f.bin") == b"first"
        await written(storage, "k/f.bin", b"third")
        assert await _read(storage, "k/f.bin") == b"third"

    async def test_writing_after_the_end(self, storage: Storage) -> None:
        """A writer that has ended refuses more: ``StorageError``."""
        writer = await asyncio.to_thread(storage.open_writer, "k/f.bin", "text/plain")
        await asyncio.to_thread(writer.commit)
        await asyncio.to_thread(writer.abort)
        assert await storage.head("k/f.bin") is not None
        with pytest.raises(StorageError):
            await asyncio.to_thread(writer.write, b"more")
        with pytest.raises(StorageError):
            await asyncio.to_thread(writer.commit)

    async def test_delete(self, storage: Storage) -> None:
        """``delete`` says whether there was a file; a reader that has begun gets to its end."""
        data = b"y" * 3_000_000
        await written(storage, "k/f.bin", data)
        reader = storage.read("k/f.bin")
        first = await anext(reader)
        assert await storage.delete("k/f.bin") is True
        assert first + b"".join([block async for block in reader]) == data
        assert await storage.delete("k/f.bin") is False
        assert await storage.head("k/f.bin") is None
        with pytest.raises(StorageError):
            await _read(storage, "k/f.bin")

    async def test_listing(self, storage: Storage) -> None:
        """Keys come in order, those with the prefix only."""
        for key in ("b/2", "a/1", "b/1", "c"):
            await written(storage, key, key.encode())
        assert [found.key async for found in storage.list_keys()] == ["a/1", "b/1", "b/2", "c"]
        assert [found.size async for found in storage.list_keys("b/")] == [3, 3]

    @pytest.mark.parametrize(
        "key",
        [
            "",
            ".",
            "..",
            "../up",
            "a/../../up",
            "/etc/x",
            "a//b",
            "a/",
            "a\\b",
            "..\\up",
            "nul\0",
            "con",
            "a/aux.txt",
            "line\nbreak",
            "a:b",
            "x" * 300,
            "dot.",
            " lead",
            "\ud800",
            "\u202egpj",
            ".hidden",
            "1/2/3/4/5/6/7/8/9",
        ],
    )
    async def test_keys_cannot_lead_out(self, storage: Storage, key: str) -> None:
        """Whatever is no plain relative key is refused by every method: ``StorageError``."""
        with pytest.raises(StorageError):
            await written(storage, key, b"x")
        for call in (storage.head, storage.delete):
            with pytest.raises(StorageError):
                await call(key)
        with pytest.raises(StorageError):
            await _read(storage, key)

    async def test_unusual_names(self, storage: Storage) -> None:
        """Names of any script are keys, up to 200 bytes."""
        for name in ("\u4eca\u5929.txt", "a b (1).txt", "\U0001f600.md", "n" * 200):
            await written(storage, f"f/{name}", b"1")
            assert await storage.head(f"f/{name}") is not None

    async def test_writers_at_once(self, storage: Storage) -> None:
        """Many writers in many threads do not get into each other's way."""
        await asyncio.gather(
            *(written(storage, f"p/{n}.bin", bytes([n]) * 250_000) for n in range(12))
        )
        for n in range(12):
            assert await _read(storage, f"p/{n}.bin") == bytes([n]) * 250_000

    async def test_sweeping_spares_the_living(self, storage: Storage) -> None:
        """``sweep`` removes nothing of a writer that is at work, and no visible file."""
        await written(storage, "k/old.bin", b"old")
        writer = await asyncio.to_thread(storage.open_writer, "k/new.bin", "text/plain")
        await asyncio.to_thread(writer.write, b"new")
        await storage.sweep()
        await asyncio.to_thread(writer.commit)
        assert await _read(storage, "k/new.bin") == b"new"
        assert await _read(storage, "k/old.bin") == b"old"

    async def test_paths(self, storage: Storage) -> None:
        """Where ``capabilities.paths`` says so, ``local_path`` is where the bytes are."""
        await written(storage, "k/f.bin", b"here")
        path = storage.local_path("k/f.bin")
        assert (path is not None) == storage.capabilities.paths
        if path is not None:
            with open(path, "rb") as file:  # noqa: ASYNC230, PTH123  a few bytes, in a test
                assert file.read() == b"here"

    async def test_closing_twice_is_fine(self, storage: Storage) -> None:
        """``aclose`` is idempotent."""
        await storage.aclose()
        await storage.aclose()


def record(**fields: Any) -> JobRecord:
    """Return a record with a new id, of a text export unless said otherwise."""
    base: dict[str, Any] = {
        "id": new_id(),
        "format": "txt",
        "source_type": "custom",
        "source_id": "1",
    }
    return JobRecord(**{**base, **fields})


class HistoryStoreSuite:
    """The behaviour of a history. Each docstring says what to mend when the test fails."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        """The clock to give to the history under test."""
        return FakeClock()

    @pytest.fixture
    def history(self, clock: FakeClock) -> HistoryStore:
        """Return an empty history; subclasses override this."""
        raise NotImplementedError("override the fixture 'history'")

    async def test_every_field_comes_back(self, history: HistoryStore) -> None:
        """``get`` returns what was created, field by field."""
        made = record(
            user_id="\u00fc\U0001f600",
            status=ExportStatus.PROCESSING,
            created_at=1.5,
            started_at=2.5,
            completed_at=3.5,
            lease_until=4.5,
            delete_at=5.5,
            idempotency_key="k",
            fingerprint="f",
            template="t",
            include_metadata=False,
            filename="n.txt",
            content_type="text/plain",
            ttl=7.0,
            key="a/b",
            progress=12.5,
            error="E: \u00e9",
            size=1 << 40,
            sha256="0" * 64,
            pages=3,
            records=9,
            warnings=["w"],
            attempts=2,
            metadata={"correlation_id": "c"},
        )
        assert await history.create(made) == made
        found = await history.get(made.id)
        assert found is not None
        assert msgspec.to_builtins(found) == msgspec.to_builtins(made)
        assert await history.get("unknown") is None

    async def test_records_are_copies(self, history: HistoryStore) -> None:
        """Changing what was given or got changes nothing that is stored."""
        made = record()
        await history.create(made)
        made.warnings.append("changed")
        found = await history.get(made.id)
        assert found is not None
        found.error = "changed"
        again = await history.get(made.id)
        assert again is not None
        assert (again.warnings, again.error) == ([], None)

    async def test_save_needs_the_newest(self, history: HistoryStore) -> None:
        """Of two changes to one version, the second is refused; the fence grows by one."""
        await history.create(made := record())
        first, second = await history.get(made.id), await history.get(made.id)
        assert first is not None
        assert second is not None
        first.status, second.status = ExportStatus.PROCESSING, ExportStatus.CANCELLED
        assert await history.save(first) is True
        assert await history.save(second) is False
        assert first.fence == second.fence + 1
        found = await history.get(made.id)
        assert found is not None
        assert (found.status, found.fence) == (ExportStatus.PROCESSING, first.fence)
        assert await history.save(first) is True
        assert await history.save(record()) is False

    async def test_one_wins_at_once(self, history: HistoryStore) -> None:
        """Of many concurrent changes to one version exactly one is stored."""
        await history.create(made := record())
        found = [await history.get(made.id) for _ in range(20)]
        results = await asyncio.gather(*(history.save(each) for each in found if each is not None))
        assert sorted(results) == [False] * 19 + [True]

    async def test_idempotency(self, history: HistoryStore) -> None:
        """One record per user and key, also for concurrent calls; no user is a user of its own."""
        for user in ("ann", "bob", None):
            made = [record(user_id=user, idempotency_key="k") for _ in range(8)]
            stored = await asyncio.gather(*(history.create(each) for each in made))
            assert len({each.id for each in stored}) == 1
        page = await history.list_records(ExportFilters(), 100, None)
        assert len(page) == 3
        assert len({(await history.create(record(user_id="ann"))).id for _ in range(3)}) == 3
        await history.delete(page[0].id)
        again = record(user_id=page[0].user_id, idempotency_key="k")
        assert (await history.create(again)).id == again.id

    async def test_listing_pages_and_filters(self, history: HistoryStore) -> None:
        """Newest first, every record once over the pages, filters combined."""
        made = [
            record(
                user_id=f"u{n % 2}",
                format=("pdf", "txt")[n % 3 == 0],
                created_at=1000.0 + n,
                status=ExportStatus.COMPLETED if n > 5 else ExportStatus.FAILED,
                source_type=("summary", "rag")[n % 2],
            )
            for n in range(12)
        ]
        for each in made:
            await history.create(each)
        seen: list[str] = []
        cursor = None
        while True:
            page = await history.list_records(ExportFilters(), 5, cursor)
            seen += [each.id for each in page]
            if (cursor := page.next_cursor) is None:
                break
        assert seen == [each.id for each in reversed(made)]
        tests: list[tuple[ExportFilters, set[int]]] = [
            (ExportFilters(user_id="u1"), {1, 3, 5, 7, 9, 11}),
            (ExportFilters(user_id="u1", status="failed"), {1, 3, 5}),
            (ExportFilters(format="txt"), {0, 3, 6, 9}),
            (ExportFilters(source_type="rag"), {1, 3, 5, 7, 9, 11}),
            (ExportFilters(created_after=utc(1010.0)), {10, 11}),
            (ExportFilters(created_before=utc(1000.0) + timedelta(seconds=2)), {0, 1}),
            (ExportFilters(user_id="' OR 1=1 --"), set()),
        ]
        for filters, expected in tests:
            found = await history.list_records(filters, 100, None)
            assert {each.id for each in found} == {made[n].id for n in expected}

    async def test_due(self, history: HistoryStore) -> None:
        """Records with a lease or a time of deletion in the past, and only those."""
        await history.create(record(id="lease", lease_until=10.0))
        await history.create(record(id="delete", delete_at=10.0))
        await history.create(record(id="later", lease_until=99.0, delete_at=99.0))
        await history.create(record(id="never"))
        assert {each.id for each in await history.due(50.0, 10)} == {"lease", "delete"}
        assert len(await history.due(50.0, 1)) == 1
        assert await history.due(5.0, 10) == []

    async def test_delete(self, history: HistoryStore) -> None:
        """``delete`` says whether there was a record; a later save of it is refused."""
        await history.create(made := record())
        assert await history.delete(made.id) is True
        assert await history.delete(made.id) is False
        assert await history.get(made.id) is None
        assert await history.save(made) is False

    async def test_tokens_are_used_once(self, history: HistoryStore) -> None:
        """One of many callers may use a token; it is forgotten only after its time."""
        results = await asyncio.gather(*(history.use_once("t", 100.0) for _ in range(10)))
        assert sorted(results) == [False] * 9 + [True]
        await history.forget_used(50.0)
        assert await history.use_once("t", 100.0) is False
        await history.forget_used(101.0)
        assert await history.use_once("t", 200.0) is True

    async def test_closing_twice_is_fine(self, history: HistoryStore) -> None:
        """``aclose`` is idempotent."""
        await history.create(record())
        await history.aclose()
        await history.aclose()
