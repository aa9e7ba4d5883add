"""Operations in a notebook: a view that moves while other cells, or other machines, work.

IPython is no requirement: where it is absent, a view is a static picture in HTML or plain text.
"""

import html as escaping
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from . import sync
from .errors import ProgressError
from .models import Progress, ProgressStage, ProgressStatus
from .service import ProgressTracker
from .terminal.words import STYLES, counts, detail, label, timing

__all__ = ["View", "to_html"]

logger = logging.getLogger(__name__)
_TONES = {
    ProgressStatus.PENDING: "#8a94a3",
    ProgressStatus.PROCESSING: "#3b82f6",
    ProgressStatus.COMPLETED: "#16a34a",
    ProgressStatus.FAILED: "#dc2626",
    ProgressStatus.CANCELLED: "#b7791f",
}
_QUIET = "opacity:.7;font-size:.92em"


class View:
    """Shows operations, live: make it the last expression of a cell.

    It follows them in a background thread until all have ended, or :meth:`stop`. A tracker that was
    first used with ``await`` in the notebook is followed between blocking cells only; one of
    ``progress_tracker.sync`` always.
    """

    def __init__(
        self,
        tracker: ProgressTracker | sync.ProgressTracker,
        *ids: str,
        wait_for_create: float = 60.0,
    ) -> None:
        """Show operations of ``tracker``, from top to bottom.

        Args:
            tracker: Where they are.
            ids: Which ones.
            wait_for_create: Seconds to wait for operations that do not exist yet.
        """
        self._tracker = (
            tracker if isinstance(tracker, sync.ProgressTracker) else sync.ProgressTracker(tracker)
        )
        self._ids, self._patience = ids, wait_for_create
        self._states: dict[str, Progress] = {}
        self._ends: dict[str, Callable[[], None]] = {}
        self._display: Any = None

    @property
    def states(self) -> Sequence[Progress]:
        """The newest known states."""
        return [self._states[id] for id in self._ids if id in self._states]

    def stop(self) -> None:
        """Follow the operations no more; what is shown stays."""
        ends, self._ends = self._ends, {}
        for end in ends.values():
            end()

    def _ipython_display_(self) -> None:
        """Show the view in this cell, and let it move from now on."""
        ipython = sys.modules.get("IPython.display")
        if ipython is None:  # somebody else asks, who has no displays
            print(self)  # noqa: T201 - this is what a display does
            return
        self._look()
        self._display = ipython.display(self._bundle(), raw=True, display_id=True)
        # cells run inside an event loop, in which the blocking facade refuses to be called
        beginning = threading.Thread(target=self._follow)
        beginning.start()
        beginning.join()

    def _follow(self) -> None:
        for id in self._ids:
            if id not in self._ends:
                self._ends[id] = self._tracker.subscribe(
                    id, self._take, wait_for_create=self._patience
                )

    def _take(self, state: Progress) -> None:
        self._states[state.id] = state
        if state.is_final:
            self._ends.pop(state.id, None)
        if self._display is not None:
            self._display.update(self._bundle(), raw=True)

    def _look(self) -> None:
        """Read the states once, for a picture that does not begin empty."""
        for id in self._ids:
            try:
                self._states.setdefault(id, self._tracker.get(id))
            except (ProgressError, RuntimeError):
                # not created yet, or we are inside an event loop: the first news brings it
                continue

    def _bundle(self) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self._repr_html_()}

    def _repr_mimebundle_(
        self,
        include: Any = None,  # noqa: ARG002 - IPython's signature
        exclude: Any = None,  # noqa: ARG002 - the same
    ) -> dict[str, str]:
        if not self._states:
            self._look()
        return self._bundle()

    def _repr_html_(self) -> str:
        states = self.states
        missing = [id for id in self._ids if id not in self._states]
        waiting = "".join(
            f'<div style="{_QUIET}">waiting for {escaping.escape(id)}</div>' for id in missing
        )
        return "".join(map(to_html, states)) + waiting

    def __str__(self) -> str:
        """Return a line for each operation."""
        lines = [
            f"{STYLES[each.status][0]} {label(each)}  {each.progress:.0f}%  {detail(each)}".rstrip()
            for each in self.states
        ]
        return "\n".join(lines) or f"View({', '.join(self._ids)})"

    __repr__ = __str__


def to_html(progress: Progress) -> str:
    """Return an operation as HTML that needs no style sheet and fits light and dark pages."""
    tone = _TONES[progress.status]
    words = " · ".join(each for each in (_doing(progress), timing(progress)) if each)
    head = (
        f'<div style="display:flex;gap:.6em"><b style="color:{tone}">{STYLES[progress.status][0]}'
        f'</b><b style="flex:1">{escaping.escape(label(progress))}</b>'
        f'<span style="color:{tone}">{progress.progress:.0f}&nbsp;%</span></div>'
    )
    about = f'<div style="{_QUIET}">{escaping.escape(words)}</div>' if words else ""
    stages = "".join(map(_stage, progress.stages or ()))
    return (
        '<div style="max-width:44em;margin:.3em 0 .9em;font-family:system-ui,sans-serif">'
        f"{head}{_bar(progress.progress, tone, 8, label(progress))}{about}{stages}</div>"
    )


def _doing(progress: Progress) -> str:
    return detail(progress) if progress.error or counts(progress) else progress.message or ""


def _stage(stage: ProgressStage) -> str:
    tone = _TONES[stage.status]
    name = escaping.escape(stage.name)
    struck = ";text-decoration:line-through" if stage.skipped else ""
    return (
        f'<div style="display:flex;gap:.6em;align-items:center;{_QUIET}">'
        f'<span style="color:{tone}">{STYLES[stage.status][0]}</span>'
        f'<span style="width:12em{struck}">{name}</span>'
        f'<span style="flex:1">{_bar(stage.progress, tone, 4, stage.name)}</span>'
        f'<span style="width:3.2em;text-align:right">{stage.progress:.0f}&nbsp;%</span></div>'
    )


def _bar(percent: float, tone: str, height: int, name: str) -> str:
    return (
        f'<div role="progressbar" aria-valuenow="{percent:.0f}" aria-valuemin="0" '
        f'aria-valuemax="100" aria-label="{escaping.escape(name)}" style="height:{height}px;'
        'border-radius:9px;background:rgba(128,128,128,.25);overflow:hidden;margin:.3em 0">'
        f'<div style="height:100%;width:{percent:.1f}%;border-radius:9px;background:{tone}"></div>'
        "</div>"
    )
