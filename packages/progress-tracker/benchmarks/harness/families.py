"""What a child's end costs among ten and among ten thousand siblings."""

import time

import msgspec

from progress_tracker import rules
from progress_tracker.ports import ProgressStore, Record, Write
from progress_tracker.registry import store_from_url
from progress_tracker.testing import NOW, record

from ._common.results import Results

FEW, MANY = 10, 10_000
ENDS = 200
_PART = 50


async def _family(store: ProgressStore, name: str, size: int) -> list[Record]:
    """Create a parent with ``size`` children; return the last ones, or each of a few again."""
    parent = (await store.create(record(f"p-{name}"))).record
    found: list[Record] = []
    for n in range(size):
        made = (await store.create(record(f"c-{name}-{n}", parent))).record
        assert made is not None
        found.append(made)
    return found[-ENDS:]


async def _end(store: ProgressStore, base: Record, turn: int) -> Record:
    """End a child, or open it again if it has ended: both reach the parent."""
    again = base.status.is_final
    new = rules.restart(base, NOW + turn) if again else rules.complete(base, NOW + turn)
    named = msgspec.structs.replace(new, token=str(turn))
    (written,) = await store.write([Write(named, base.status)])
    assert written.applied
    assert written.record is not None
    return written.record


async def run_on(results: Results, name: str, url: str, repetitions: int, many: int) -> None:
    """Measure one store: both families in turn, a part of the writes each."""
    store = store_from_url(url, table=f"t{time.time_ns()}")
    try:
        await store.setup()
        families = {size: await _family(store, str(size), size) for size in (FEW, many)}
        measure = results.measure(f"children-{name}", f"a child's end, {name}", "µs")
        for turn in range(repetitions):
            spent = dict.fromkeys(families, 0.0)
            for part in range(ENDS // _PART):
                for size, children in families.items():
                    begun = time.perf_counter()
                    for n in range(_PART):
                        place = (part * _PART + n) % len(children)
                        stamp = turn * ENDS + part * _PART + n + 1
                        children[place] = await _end(store, children[place], stamp)
                    spent[size] += time.perf_counter() - begun
            for size, seconds in spent.items():
                measure.add(f"{size:,} children", seconds / ENDS * 1e6, ours=True)
    finally:
        await store.aclose()
