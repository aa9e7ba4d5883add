"""Limits: which jobs of one name and key may run now.

The algorithm is the memory broker's. A job that finds no room is PARKED, out of the way of later
claims. Of those of a key, at most one of each queue is let out at a time, as its NEXT: it waits for
its claim, or until the period allows one. The gate's row is locked while we decide; who runs and
who waits stands in the jobs themselves, so that a worker's death cannot leave a count wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from ..._common.sql_lanes import Row
from ..._common.sql_statements import Params
from ...ports import Limit, WorkerCall
from .plans import Plan, Words, asked
from .rows import NEWEST
from .settling import let_out, lock_gate
from .tables import COLUMNS, FIELDS, NEXT, PARKED, RUNNING
from .taking import Taken, take

_LOOK = 200
_ROUNDS = 50
_floats = msgspec.json.Decoder(list[float])
_NAME, _LIMIT_KEY = FIELDS.index("name") + 3, FIELDS.index("limit_key") + 3
_CANDIDATES = (
    f"SELECT seq, turn, gate, {COLUMNS} FROM jobqueue_jobs WHERE {{}} AND version <= {NEWEST} "  # noqa: S608
    "ORDER BY turn, seq LIMIT :look{}"
)
_SET_GATE = "UPDATE jobqueue_jobs SET gate = :gate, gate_key = :key WHERE seq = :seq"
_POSTPONE = (
    "UPDATE jobqueue_jobs SET status = 'delayed', run_at = :due, gate = :gate, gate_key = :key "
    "WHERE seq = :seq"
)
_SAVE = "UPDATE jobqueue_gates SET starts = :starts, expires = :expires WHERE gate_key = :key"


@dataclass
class _Gate:
    """The gate of one key, locked by us; ``next`` and the ``best`` of the parked are of a queue."""

    key: str
    limit: Limit
    starts: list[float]
    running: int
    next: int | None
    best: tuple[float, int] | None
    entered: int = 0
    behind: int = 0
    changed: bool = False

    def due(self, now: float) -> float:
        """Return when the next one may begin."""
        most = self.limit.starts
        if most is None:
            return now
        del self.starts[: max(0, len(self.starts) - most)]
        full = len(self.starts) == most
        return max(now, self.starts[0] + self.limit.period) if full else now


@dataclass
class _Round:
    """What becomes of the candidates of one look."""

    taken: list[Row] = field(default_factory=list)
    parked: list[Params] = field(default_factory=list)
    entered: list[Params] = field(default_factory=list)
    postponed: list[Params] = field(default_factory=list)


def claim_limited(
    words: Words, call: WorkerCall, queue: str, slots: int, now: float
) -> Plan[list[Taken]]:
    """Lease the best jobs of a queue, within the limits of their names."""
    made: list[Taken] = []
    text = _CANDIDATES.format(words.ready, words.skip)
    look = slots  # what we look at is locked: no more than we may take, unless many find no room
    for _ in range(_ROUNDS):
        rows = yield text, {"queue": queue, "look": look}
        if not rows:
            break
        gates = yield from _gates(words, rows, call.limits, queue)
        round_ = _Round()
        for row in rows:
            if len(round_.taken) == slots:
                break
            _pass(row, gates, round_, now)
        yield from _apply(words, round_, gates, now)
        taken = yield from take(words, round_.taken, call, now)
        made += taken
        slots -= len(round_.taken)
        if slots <= 0:
            break
        look = max(slots, min(4 * look, _LOOK))
    return made


def key_of(row: Row) -> str:
    """Return what a limit counts a candidate under; names have no line breaks."""
    return f"{row[_NAME]}\n{row[_LIMIT_KEY] or ''}"


def _gates(
    words: Words, rows: Sequence[Row], limits: Mapping[str, Limit], queue: str
) -> Plan[dict[str, _Gate]]:
    wanted = {key_of(row): limits[row[_NAME]] for row in rows if row[_NAME] in limits}
    gates: dict[str, _Gate] = {}
    for key in sorted(wanted):  # in one order: two workers do not wait for each other
        stored = yield from lock_gate(words, key)
        running = yield (
            f"SELECT count(*) FROM jobqueue_jobs WHERE gate_key = :key AND gate = {RUNNING}",  # noqa: S608
            {"key": key},
        )
        first = yield (
            (
                f"SELECT seq FROM jobqueue_jobs WHERE gate_key = :key AND gate = {NEXT} "  # noqa: S608
                "AND queue = :queue LIMIT 1"
            ),
            {"key": key, "queue": queue},
        )
        best = yield (
            (
                f"SELECT turn, seq FROM jobqueue_jobs WHERE gate_key = :key AND gate = {PARKED} "  # noqa: S608
                "AND queue = :queue ORDER BY turn, seq LIMIT 1"
            ),
            {"key": key, "queue": queue},
        )
        gates[key] = _Gate(
            key,
            wanted[key],
            _floats.decode(stored),
            int(running[0][0]),
            first[0][0] if first else None,
            (best[0][0], best[0][1]) if best else None,
        )
    return gates


def _pass(row: Row, gates: Mapping[str, _Gate], round_: _Round, now: float) -> None:
    gate = gates.get(key_of(row))
    if gate is None:
        round_.taken.append(row)
        return
    seq, limit = row[0], gate.limit
    at = {"seq": seq, "key": gate.key}
    due = gate.due(now)
    full = limit.concurrency is not None and gate.running >= limit.concurrency
    behind = gate.best is not None and gate.next != seq and gate.best < (row[1], seq)
    if full or behind or (due > now and gate.next not in {None, seq}):
        gate.behind += behind and not full
        round_.parked.append({**at, "gate": PARKED})
        if gate.next == seq:
            gate.next = None
        return
    if due > now:
        gate.next = seq
        round_.postponed.append({**at, "gate": NEXT, "due": due})
        return
    if limit.starts is not None:
        gate.starts.append(now)
        gate.changed = True
    gate.running += 1
    gate.entered += 1
    if gate.next == seq:
        gate.next = None
    round_.entered.append({**at, "gate": RUNNING})
    round_.taken.append(row)


def _apply(words: Words, round_: _Round, gates: Mapping[str, _Gate], now: float) -> Plan[None]:
    changes = words.finishing(_SET_GATE, [*round_.parked, *round_.entered])
    yield from asked((*changes, *words.finishing(_POSTPONE, round_.postponed)))
    for gate in gates.values():
        if gate.changed:
            starts = msgspec.json.encode(gate.starts).decode()
            expires = now + gate.limit.period
            yield _SAVE, {"key": gate.key, "starts": starts, "expires": expires}
        if gate.next is None and (most := gate.entered + gate.behind):
            yield from let_out(words, gate.key, most)


def pause(words: Words, queue: str) -> Plan[None]:
    """Pause a queue."""
    yield words.insert_once("jobqueue_paused", "queue"), {"queue": queue}


def resume(_words: Words, queue: str) -> Plan[None]:
    """Resume a queue."""
    yield "DELETE FROM jobqueue_paused WHERE queue = :queue", {"queue": queue}
