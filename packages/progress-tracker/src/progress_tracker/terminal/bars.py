"""Live bars by rich, with the stages and the parts of an operation beneath it."""

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import IO, Any, Self

from .._common.extras import require
from ..models import Progress, ProgressStage, ProgressStatus
from .words import STYLES, detail, label, short, timing

_MOST_PARTS = 8
_ORDER = [
    ProgressStatus.PROCESSING,
    ProgressStatus.FAILED,
    ProgressStatus.PENDING,
    ProgressStatus.CANCELLED,
    ProgressStatus.COMPLETED,
]


class Bars:
    """A row for each operation, and while it runs one for each stage. Needs the extra ``cli``."""

    wants_parts = True

    def __init__(self, out: IO[str]) -> None:
        """Draw on ``out``."""

        def rich(module: str) -> Any:
            return require(f"rich.{module}", dist="progress-tracker", extra="cli")

        self._shown: dict[str, Progress] = {}
        self._parts: dict[str, Sequence[Progress]] = {}
        # in this order: without rich the first of them says what to install
        rich("progress")
        self._text, self._table = rich("text").Text, rich("table").Table
        self._bar = rich("progress_bar").ProgressBar
        self._live: Any = rich("live").Live(
            console=rich("console").Console(file=out),
            get_renderable=self._render,
            refresh_per_second=10,
        )

    def show(self, progress: Progress) -> None:
        """Move the operation's bar."""
        self._shown[progress.id] = progress

    def show_parts(self, id: str, parts: Sequence[Progress]) -> None:
        """Move the bars of its parts."""
        self._parts[id] = sorted(parts, key=lambda each: _ORDER.index(each.status))

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bars as they are."""
        self._live.stop()

    def _render(self) -> Any:
        table = self._table.grid(padding=(0, 1))
        table.add_column(no_wrap=True, max_width=36)
        table.add_column(min_width=12, max_width=32)
        for _ in range(2):
            table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for progress in list(self._shown.values()):
            for row in self._rows(progress):
                table.add_row(*row)
        return table

    def _rows(self, progress: Progress) -> Iterator[tuple[Any, ...]]:
        yield self._row(progress, "", "bold")
        if progress.status is ProgressStatus.COMPLETED:
            return  # done: what it consisted of is of no interest any more
        for stage in progress.stages or ():
            yield self._stage(stage)
        parts = self._parts.get(progress.id, ())
        for part in parts[:_MOST_PARTS]:
            yield self._row(part, "  ", "")
        rest = (progress.children.total if progress.children else 0) - len(parts[:_MOST_PARTS])
        if parts and rest > 0:
            yield self._text(f"    … {rest} more", style="dim"), "", "", "", ""

    def _row(self, progress: Progress, indent: str, style: str) -> tuple[Any, ...]:
        sign, tone = STYLES[progress.status]
        text = self._text
        # markup in what others wrote is text
        name = text.assemble((f"{indent}{sign} ", tone), (short(label(progress), 32), style))
        unknown = (
            progress.status is ProgressStatus.PROCESSING
            and progress.progress == 0
            and progress.total is None
            and not progress.children
        )
        bar = self._bar(
            total=100, completed=progress.progress, pulse=unknown,
            complete_style=tone, finished_style=tone, pulse_style=tone,
        )  # fmt: skip
        percent = "" if unknown else f"{progress.progress:.0f}%"
        words = text(short(detail(progress), 60), style=tone if progress.error else "dim")
        return name, bar, percent, text(timing(progress), style="dim"), words

    def _stage(self, stage: ProgressStage) -> tuple[Any, ...]:
        sign, tone = STYLES[stage.status]
        style = "dim strike" if stage.skipped else tone
        name = self._text(f"  {sign} {short(stage.name, 28)}", style=style)
        if stage.status is ProgressStatus.PENDING or stage.skipped:
            return name, "", "", "", ""
        bar = self._bar(
            total=100, completed=stage.progress, complete_style=tone, finished_style=tone
        )
        return name, bar, f"{stage.progress:.0f}%", "", ""
