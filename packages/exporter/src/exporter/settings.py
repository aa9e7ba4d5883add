"""Settings of the service: the section ``export`` of a YAML file."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal
from urllib.parse import quote

import msgspec

from ._common.config import BaseSettings
from .errors import ConfigurationError

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
PageSize = Literal["A4", "letter"]
_KEY_BYTES = 32
_BUCKETS = {"s3": "s3", "gcs": "gs", "gs": "gs", "azure": "az", "az": "az"}


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class StorageSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where files are kept.

    Attributes:
        type: ``local`` (if None), ``memory``, ``s3``, ``gcs`` or ``azure``.
        path: The folder of ``local``, ``./exports`` if None; bucket and prefix of ``s3``, ``gcs``
            and ``azure``, as in ``bucket/prefix``.
        url: A URL of the registry, in place of ``type`` and ``path``: ``file:///var/exports``,
            ``s3://bucket/prefix?region=eu-west-1``.
        public_url: Where links begin: the route ``/files`` of the ASGI app, as browsers reach it.
    """

    type: str | None = None
    path: str | None = None
    url: str | None = None
    public_url: str | None = None

    def resolved_url(self) -> str:
        """Return the URL of the registry that the section means.

        Raises:
            ConfigurationError: Parts contradict each other, or one that the type needs is missing.
        """
        if self.url is not None:
            if self.type is not None or self.path is not None:
                raise ConfigurationError("storage: give 'url', or 'type' and 'path', not both")
            return self.url
        kind = self.type or "local"
        if kind in {"local", "file"}:
            return f"file:{quote(self.path or './exports')}"
        if scheme := _BUCKETS.get(kind):
            if not (self.path or "").strip("/"):
                raise ConfigurationError(f"storage: type {kind!r} needs path: bucket/prefix")
            return f"{scheme}://{quote((self.path or '').lstrip('/'))}"
        if self.path is not None:
            raise ConfigurationError(f"storage: type {kind!r} has no 'path'; give 'url' instead")
        return f"{kind}://"


class HistorySettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the list of exports is kept.

    Attributes:
        url: ``sqlite:///history.db`` or ``memory://``. If None, in memory with a warning.
    """

    url: str | None = None


class FormatSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every format has.

    Attributes:
        enabled: Whether it may be used.
        template_dir: The folder of its templates.
    """

    enabled: bool = True
    template_dir: str | None = None


class JsonSettings(FormatSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """JSON.

    Attributes:
        pretty: Indent it by two spaces.
    """

    pretty: bool = True


class CsvSettings(FormatSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """CSV and TSV.

    Attributes:
        formula_guard: Put an apostrophe before text that a spreadsheet would run as a formula.
        bom: Begin with a byte order mark, by which Excel knows UTF-8.
    """

    formula_guard: bool = True
    bom: bool = False


class ParquetSettings(FormatSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parquet.

    Attributes:
        row_group: Rows that are held in memory and written at once; the first ones settle the
            columns and their types.
        types: Column -> ``text``, ``number``, ``integer`` or ``boolean``, in place of what the
            first rows hold.
    """

    row_group: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 10_000
    types: Mapping[str, Literal["text", "number", "integer", "boolean"]] = {}


class SubtitleSettings(FormatSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """SRT and VTT.

    Attributes:
        max_line_length: Columns of a line; wide (East Asian) characters take two.
        max_lines: Lines of a cue; longer segments become several cues.
        overlap: ``trim`` ends a cue where the next begins; ``keep`` leaves overlaps.
        speakers: Say who speaks: SRT where the speaker changes, VTT as the voice of every cue.
    """

    max_line_length: Annotated[int, msgspec.Meta(ge=8, le=1000)] = 42
    max_lines: Annotated[int, msgspec.Meta(ge=1, le=20)] = 2
    overlap: Literal["trim", "keep"] = "trim"
    speakers: bool = True


class DocxSettings(FormatSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Word documents.

    Attributes:
        page_size: ``A4`` or ``letter``.
    """

    page_size: PageSize = "A4"


class PdfSettings(DocxSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PDF.

    Attributes:
        page_size: ``A4`` or ``letter``.
        fonts: TrueType files to prefer, best first, before those found on the system.
    """

    fonts: tuple[str, ...] = ()


class FormatsSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The built-in formats."""

    txt: FormatSettings = FormatSettings()
    json: JsonSettings = JsonSettings()
    jsonl: FormatSettings = FormatSettings()
    csv: CsvSettings = CsvSettings()
    tsv: CsvSettings = CsvSettings()
    xlsx: FormatSettings = FormatSettings()
    parquet: ParquetSettings = ParquetSettings()
    srt: SubtitleSettings = SubtitleSettings()
    vtt: SubtitleSettings = SubtitleSettings()
    docx: DocxSettings = DocxSettings()
    pdf: PdfSettings = PdfSettings()
    html: FormatSettings = FormatSettings()
    md: FormatSettings = FormatSettings()

    def of(self, format: str) -> FormatSettings:
        """Return the settings of a format; the common defaults for registered ones."""
        known = format in self.__struct_fields__
        found: FormatSettings = getattr(self, format) if known else FormatSettings()
        return found


class TemplateSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a process may use that fills a template of a Word, PDF or other document.

    Attributes:
        timeout: Seconds, of the clock and of the processor.
        memory: Bytes of address space.
        max_data: Bytes of data, as JSON.
    """

    timeout: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 60.0
    memory: Annotated[int, msgspec.Meta(ge=1 << 26, le=1 << 40)] = 1 << 30
    max_data: Annotated[int, msgspec.Meta(ge=1, le=1 << 40)] = 1 << 26


class JobSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How exports run.

    Attributes:
        timeout: Seconds that one may take, from its start.
        max_size: Bytes that one file may have.
        executor: ``threads`` renders in the thread of each job; ``processes`` has a worker process
            for each, so that exports use every processor and leave no memory behind.
        workers: How many run at once, each in a thread.
        worker_memory: Bytes that a worker process may have grown to; then it is replaced.
        queue_timeout: Seconds that an export may wait in a job queue before it counts as lost; see
            :class:`Executor`.
        queue_size: How many may wait; more are refused with ``ExportError(reason="busy")``.
        lease: Seconds after which the exports of a silent process count as interrupted.
        shutdown_timeout: Seconds that ``aclose`` gives to exports that have not ended.
    """

    timeout: Positive = 300.0
    max_size: Annotated[int, msgspec.Meta(ge=1)] = 1 << 30
    executor: Literal["threads", "processes"] = "threads"
    workers: Annotated[int, msgspec.Meta(ge=1, le=256)] = 2
    worker_memory: Annotated[int, msgspec.Meta(ge=1)] = 1 << 28
    queue_timeout: Positive = 86_400.0
    queue_size: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1000
    lease: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 30.0
    shutdown_timeout: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 30.0


class DownloadSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Links.

    Attributes:
        ttl: Seconds until a link expires.
        token_required: Links are signed tokens. False: links are unguessable paths that need no
            key and cannot be bound to a user or used only once.
        signing_keys: Key id -> secret of at least 32 bytes. The first signs, all are accepted.
        retention: Seconds that files are kept after their first link has expired.
        redirect: Send who may download on to a URL that the storage signs, good for five minutes,
            in place of passing the file through the ASGI app; for storages that can.
    """

    ttl: Positive = 86_400.0
    token_required: bool = True
    signing_keys: Mapping[str, str] = {}
    retention: Annotated[float, msgspec.Meta(ge=0, le=1e10)] = 7 * 86_400.0
    redirect: bool = False

    def __post_init__(self) -> None:
        """Refuse keys that are too short, without showing them."""
        for name, secret in self.signing_keys.items():
            if not name or len(name) > 64:
                raise ConfigurationError("downloads.signing_keys: a key id has 1 to 64 characters")
            if len(secret.encode()) < _KEY_BYTES:
                raise ConfigurationError(
                    f"downloads.signing_keys: the secret of {name!r} has under {_KEY_BYTES} bytes"
                )

    def __repr__(self) -> str:
        keys = ", ".join(f"{name!r}: '***'" for name in self.signing_keys)
        return (
            f"DownloadSettings(ttl={self.ttl}, token_required={self.token_required}, "
            f"signing_keys={{{keys}}}, retention={self.retention}, redirect={self.redirect})"
        )


class CleanupSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When ``cleanup`` runs by itself.

    Attributes:
        enabled: Whether it does, while the service is in use.
        interval: Seconds between two runs.
    """

    enabled: bool = True
    interval: Positive = 3600.0


class Settings(BaseSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole section ``export``.

    Attributes:
        storage: Where files are kept.
        history: Where the list of exports is kept.
        formats: The built-in formats.
        templates: What templates of documents may use.
        jobs: How exports run.
        downloads: Links.
        cleanup: Automatic cleanup.
    """

    DIST: ClassVar[str] = "exporter"
    SECTION: ClassVar[str] = "export"
    PREFIX: ClassVar[str] = "EXPORTER"
    URL_AT: ClassVar[tuple[str, str]] = ("storage", "url")

    storage: StorageSettings = StorageSettings()
    history: HistorySettings = HistorySettings()
    formats: FormatsSettings = FormatsSettings()
    templates: TemplateSettings = TemplateSettings()
    jobs: JobSettings = JobSettings()
    downloads: DownloadSettings = DownloadSettings()
    cleanup: CleanupSettings = CleanupSettings()
