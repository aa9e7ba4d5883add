"""Cron: each tick enqueues one job, however many schedulers run."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import islice
from typing import TYPE_CHECKING, Literal

from .._common.clock import Clock
from ..errors import BackendError, ConfigurationError
from ..ports import Broker, Record

if TYPE_CHECKING:
    from cronsim import CronSim

logger = logging.getLogger(__name__)
CatchUp = Literal["none", "one", "all"]
_LATE = 60.0
_MOST = 1000


@dataclass(frozen=True, slots=True)
class CronEntry:
    """A cron expression and the job that it enqueues.

    Ticks of a local time that a clock change skips or repeats run once, as in Debian's cron.

    Attributes:
        name: The job's name, and the key of the stored tick.
        expression: Five or six fields.
        place: The time zone of the expression.
        catch_up: Which ticks that nobody ran (for over a minute) are made up for: none, the last
            one, or all (at most 1,000).
    """

    name: str
    expression: str
    place: tzinfo
    catch_up: CatchUp = "none"

    def __post_init__(self) -> None:
        """Refuse an expression that cron would not take."""
        if self.catch_up not in ("none", "one", "all"):  # a tuple: it may be unhashable
            raise ConfigurationError(
                f"catch_up must be 'none', 'one' or 'all', not {self.catch_up!r}"
            )
        from cronsim import CronSimError

        try:
            self._ticks(datetime.now(self.place))
        except (CronSimError, AttributeError, TypeError, ValueError) as exc:
            raise ConfigurationError(f"not a cron expression: {self.expression!r} ({exc})") from exc

    def after(self, moment: float) -> Iterator[float]:
        """Yield the ticks after ``moment``, in seconds since the epoch."""
        for tick in self._ticks(datetime.fromtimestamp(moment, self.place)):
            if (seconds := tick.timestamp()) > moment:
                yield seconds

    def _ticks(self, since: datetime) -> "CronSim":
        from cronsim import CronSim  # who has no cron does not load it

        return CronSim(self.expression, since)

    def due(self, last: float, now: float) -> tuple[list[float], float]:
        """Return the ticks to run, and how far the entry has come with them."""
        missed = []
        for tick in islice(self.after(last), _MOST):
            if tick > now:
                break
            missed.append(tick)
        if not missed:
            return [], last
        if self.catch_up == "all":
            return missed, missed[-1]
        newest = missed[-1] if len(missed) < _MOST else now
        late = now - newest > _LATE
        return ([] if self.catch_up == "none" and late else [newest]), newest


class Scheduler:
    """Enqueues what is due. Any number may run: the broker moves each entry forward once."""

    def __init__(
        self,
        broker: Broker,
        entries: Sequence[CronEntry],
        make: Callable[[CronEntry, float], Record],
        clock: Clock,
    ) -> None:
        """Watch ``entries``; ``make`` builds the job of a tick."""
        self._broker, self._entries, self._make, self._clock = broker, entries, make, clock

    async def run(self) -> None:
        """Enqueue due ticks for ever; survives an absent broker."""
        while True:
            wait = 30.0
            try:
                wait = min(wait, await self.turn())
            except BackendError as exc:
                logger.warning("cron.failed", exc_info=exc)
                wait = 5.0
            except Exception:
                # a job that cannot be made, say: the other ticks go on
                logger.exception("cron.failed")
                wait = 5.0
            await self._clock.sleep(max(0.01, wait))

    async def turn(self) -> float:
        """Enqueue what is due now and return the seconds to the next tick."""
        # the broker's time: a worker whose clock is wrong must not run ticks early, or skip them
        now, soonest = await self._broker.time(), float("inf")
        for entry in self._entries:
            await self._look(entry, now)
            soonest = min(soonest, next(entry.after(now), float("inf")))
        return max(0.0, soonest - await self._broker.time())

    async def _look(self, entry: CronEntry, now: float) -> None:
        last = await self._broker.last_tick(entry.name)
        if last is None:
            await self._broker.tick(entry.name, now, ())
            return
        ticks, reached = entry.due(last, now)
        if reached > last:
            records = [self._make(entry, tick) for tick in ticks]
            if await self._broker.tick(entry.name, reached, records) and records:
                logger.info("cron.enqueued", extra={"job_name": entry.name, "ticks": len(records)})
