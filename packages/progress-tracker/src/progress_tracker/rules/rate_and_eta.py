"""``rate`` and ``eta``: speed and time left, smoothed over time instead of over calls.

An exponentially weighted mean whose weights depend on the seconds between two looks (A. Eckner,
"Algorithms for Unevenly Spaced Time Series: Moving Averages and Other Rolling Operators", 2012,
section 3), divided by the sum of its weights so that the beginning counts for nothing.
"""

from ..ports import Pace

HALF_LIFE = 10.0
_ENOUGH = 0.5
"""Seconds of observation before a speed means something."""


def observe(pace: Pace | None, done: float, now: float) -> Pace:
    """Return ``pace`` after ``done`` units were seen at ``now`` (seconds)."""
    if pace is None or done < pace.done:
        return Pace(at=now, done=done, since=now)
    elapsed = now - pace.at
    if elapsed <= 1e-3:
        # two looks at one moment, or a clock set back: wait for time to pass
        return pace if elapsed >= 0 else Pace(now, pace.done, now, pace.value, pace.mass)
    keep = 0.5 ** (elapsed / HALF_LIFE)
    now_at = (done - pace.done) / elapsed
    return Pace(
        at=now,
        done=done,
        since=pace.since,
        value=pace.value * keep + now_at * (1 - keep),
        mass=pace.mass * keep + (1 - keep),
    )


def rate(pace: Pace | None) -> float | None:
    """Return units a second, None until half a second of work was seen."""
    if pace is None or pace.mass <= 0 or pace.at - pace.since < _ENOUGH:
        return None
    return pace.value / pace.mass


def blended(seen: float | None, prior: float | None, share: float) -> float | None:
    """Return the seconds left by what is seen of this operation and what earlier ones took.

    The further it is the more its own speed counts: at the beginning that says little, and the
    others are all that is known.

    Args:
        seen: The seconds left by its own speed, None while nobody can tell.
        prior: The seconds that earlier ones took in all, None if there were none.
        share: How much of it is done, 0 to 1.
    """
    if prior is None:
        return seen
    others = prior * (1 - share)
    return others if seen is None else share * seen + (1 - share) * others


def eta(pace: Pace | None, total: float) -> float | None:
    """Return the seconds until ``total``, None while nobody can tell."""
    units = rate(pace)
    if units is None or units <= 0 or pace is None:
        return None
    return max(0.0, (total - pace.done) / units)
