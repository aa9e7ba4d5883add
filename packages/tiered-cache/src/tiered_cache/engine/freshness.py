"""What may be served without asking anybody: entries of L1, and what others compute right now."""

from ..keys import check_key
from ..ports import Entry
from ..single_flight import Flight
from .base import State
from .jobs import Job


class Freshness(State):
    """L1 is trusted while messages of other processes arrive.

    Without them, an entry is trusted for as long as such a silence may go unnoticed anyway.
    """

    def fresh(self, key: str) -> Entry | None:
        """Return the entry of L1 that may be served without asking anybody; counts no hit."""
        try:
            entry = None if self.local is None else self.local.get(key)
        except TypeError:
            check_key(key)  # what has no hash is no key
            raise
        if entry is None:
            return None
        now = self.clock.monotonic()
        if now >= entry.expires:
            self._drop_dead(key, entry, now)
            return None
        if not self.tags.is_current(entry):
            if self.tags.is_dead(entry) and self.local is not None:
                self.count.invalidated += self.local.delete(key)
            return None
        return entry if self.is_trusted(entry, now) else None

    def _drop_dead(self, key: str, entry: Entry, now: float) -> None:
        if now >= entry.stale_until and self.local is not None and self.local.delete(key):
            self.count.expired += 1

    def count_live(self) -> int:
        """Return how many values L1 has that are fresh, and drop those whose time is over."""
        now, live = self.clock.monotonic(), 0
        for key, entry in self.local.items() if self.local is not None else ():
            live += now < entry.expires
            self._drop_dead(key, entry, now)
        return live

    def is_trusted(self, entry: Entry, now: float) -> bool:
        """Whether ``entry`` can be no older than a silence that may go unnoticed."""
        return self._hears(now) or now - entry.checked < self.settings.suspect_after

    def stale(self, key: str) -> Entry | None:
        """Return the entry of L1 that may stand in for a failing or slow factory."""
        entry = None if self.local is None else self.local.get(key)
        return entry if entry is not None and self.is_usable(entry) else None

    def is_usable(self, entry: Entry) -> bool:
        """Whether ``entry`` may stand in: in its time, and not invalidated for good."""
        return self.clock.monotonic() < entry.stale_until and self.tags.allow_stale(entry)

    # -- single flight -----------------------------------------------------------------------

    def board(self, job: Job) -> tuple[Flight, bool]:
        """Return the flight that ``job`` may share, and whether it leads it.

        A flight that began before one of its tags was invalidated is not joined any more.
        """
        job.began, job.epoch, job.since = self.tags.changes, self.tags.epoch, self.clock.monotonic()
        while True:
            flight, leads = self.flights.board(job.key, job)
            if leads or not (self.is_outdated(flight, job.began) or self._is_doubtful(flight)):
                return flight, leads
            self.flights.forget_flight(job.key, flight)

    def is_outdated(self, flight: Flight, until: int) -> bool:
        """Whether a tag of the flight was invalidated between its begin and change ``until``.

        Only the last change of a tag is known: where it came after ``until``, an earlier one may
        have come before, and the answer is yes.
        """
        job: Job | None = flight.job
        if job is None or until <= job.began:
            return False
        return self.tags.changed_since((*job.tags, *job.found), job.began)

    def _is_doubtful(self, flight: Flight) -> bool:
        """Whether messages may have been missed for longer than that may go unnoticed."""
        job: Job | None = flight.job
        if job is None or job.since is None or self.trusts_messages():
            return False
        return self.clock.monotonic() - job.since >= self.settings.suspect_after
