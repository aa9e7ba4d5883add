"""What a broker on PostgreSQL remembers of the jobs that it leased: it finds them faster."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ...ports import Outcome
from .rows import clean
from .taking import Taken

_MOST = 50_000


class _Place(NamedTuple):
    seq: int
    fence: int
    fleeting: bool
    note: int | None


class Memory:
    """Where leased jobs are, and which notes say when to look after them.

    A note is a row of ``jobqueue_claims``. When the last of its jobs is over it is free for other
    ones; what is not needed any more goes when its time has come and somebody looks.
    """

    def __init__(self, draw: Callable[[], int]) -> None:
        """Remember nothing yet; ``draw`` gives the numbers of notes."""
        self._places: dict[str, _Place] = {}
        self._open: dict[int, int] = {}  # how many jobs of a note are not over
        self._free: list[int] = []
        self._draw = draw

    def notes(self, outcomes: Sequence[Outcome]) -> list[int]:
        """Take the notes of a step: one for what it claims, then others that are over with it.

        They come back with :meth:`settle`. After a step that failed they do not: it may have been
        done, and what it has claimed is then noted on the first one.
        """
        counts = self._counted(outcomes)
        over = [note for note, n in counts.items() if self._open.get(note) == n]
        for note in over:
            del self._open[note]
        return over or [self._free.pop() if self._free else self._draw()]

    def settle(
        self, outcomes: Sequence[Outcome], taken: Sequence[Taken], notes: Sequence[int]
    ) -> None:
        """Forget the jobs of ``outcomes``, remember those that were claimed in the same step."""
        for note, n in self._counted(outcomes).items():
            if note in self._open:
                self._open[note] -= n
        for each in outcomes:
            if self._place(each) is not None:
                del self._places[each.lease.id]
        first, *others = notes
        self._free += others
        if taken:
            self._open[first] = len(taken)
            self.keep(taken, first)
        else:
            self._free.append(first)

    def spare(self) -> list[int]:
        """Return the free notes, to be deleted: nobody shall look after them for nothing."""
        spare, self._free = self._free, []
        return spare

    def keep(self, taken: Sequence[Taken], note: int | None = None) -> None:
        """Remember leased jobs; what was noted of them is none of ours."""
        if len(self._places) > _MOST:  # whose outcomes never came
            self._places.clear()
        for each in taken:
            record = each.record
            fleeting = record.result_ttl == 0
            self._places[record.id] = _Place(each.seq, record.fence, fleeting, note)

    def reported(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        """Return ``outcomes`` for a step."""
        places = [self._place(each) for each in outcomes]
        return {
            "ids": [each.lease.id for each in outcomes],
            "seqs": [None if place is None else place.seq for place in places],
            "fences": [each.lease.fence for each in outcomes],
            "kinds": [each.kind for each in outcomes],
            "results": [each.result for each in outcomes],
            "errors": [clean(each.error) for each in outcomes],
            "delays": [each.delay for each in outcomes],
            "reached": [each.lease.progress for each in outcomes],
            "fleeting": [
                each.kind == "completed" and place is not None and place.fleeting
                for each, place in zip(outcomes, places, strict=True)
            ],
        }

    def _counted(self, outcomes: Sequence[Outcome]) -> dict[int, int]:
        counts: dict[int, int] = {}
        for place in map(self._place, outcomes):
            if place is not None and place.note is not None:
                counts[place.note] = counts.get(place.note, 0) + 1
        return counts

    def _place(self, outcome: Outcome) -> _Place | None:
        # the job may be ours again, under a later lease, before its first outcome is reported
        place = self._places.get(outcome.lease.id)
        return place if place is not None and place.fence == outcome.lease.fence else None
