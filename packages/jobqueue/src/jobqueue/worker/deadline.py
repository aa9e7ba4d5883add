"""Time limits for attempts, cheaper than ``asyncio.timeout``, which they follow."""

import asyncio


class Deadlines:
    """The time limits of one event loop's attempts: one timer, for the one that is over first.

    Nearly all attempts end long before their time, so a timer for each would be made and thrown
    away again, at an eighth of what a worker may spend on a job.
    """

    __slots__ = ("_loop", "_next", "_open", "_timer")

    def __init__(self) -> None:
        """Watch the running loop."""
        self._loop = asyncio.get_running_loop()
        self._open: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._next = float("inf")

    def start(self, seconds: float) -> "Deadline":
        """Cancel the running task after ``seconds``, unless it is over by then."""
        task = asyncio.current_task(self._loop)
        assert task is not None
        deadline = Deadline(self, task, self._loop.time() + seconds)
        self._open.add(deadline)
        if deadline.until < self._next:
            self._set(deadline.until)
        return deadline

    def close(self) -> None:
        """End the timer; no task is cancelled any more."""
        self._open.clear()
        self._set(float("inf"))

    def forget(self, deadline: "Deadline") -> None:
        """Watch it no longer. The timer stays: it finds nothing, or the next one."""
        self._open.discard(deadline)

    def postpone(self, deadline: "Deadline", seconds: float) -> None:
        """Give it ``seconds`` from now, unless it is over. Safe for threads."""
        self._loop.call_soon_threadsafe(self._postpone, deadline, seconds)

    def _postpone(self, deadline: "Deadline", seconds: float) -> None:
        if deadline in self._open:
            deadline.until = self._loop.time() + seconds
            if deadline.until < self._next:
                self._set(deadline.until)

    def _set(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = when
        self._timer = self._loop.call_at(when, self._look) if when < float("inf") else None

    def _look(self) -> None:
        now = self._next  # the loop runs timers a little early: by its clock's resolution
        for each in [each for each in self._open if each.until <= now]:
            self._open.discard(each)
            each.expire()
        self._set(min((each.until for each in self._open), default=float("inf")))


class Deadline:
    """The time limit of one attempt."""

    __slots__ = ("_all", "_before", "_task", "expired", "until")

    def __init__(self, all_of_them: Deadlines, task: "asyncio.Task[object]", until: float) -> None:
        """Limit ``task`` to the moment ``until`` of the loop's clock."""
        self._all, self._task, self.until = all_of_them, task, until
        self._before = task.cancelling()
        self.expired = False

    def restart(self, seconds: float) -> None:
        """Give it ``seconds`` from now, unless it is over. Safe for threads."""
        self._all.postpone(self, seconds)

    def expire(self) -> None:
        """Cancel the task."""
        self.expired = True
        self._task.cancel()

    def end(self) -> bool:
        """Be over; return whether it has cancelled the task, and nobody else has."""
        self._all.forget(self)
        return self.expired and self._task.uncancel() <= self._before
