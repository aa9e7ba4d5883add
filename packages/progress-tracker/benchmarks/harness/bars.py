"""What has to be reached, and whether it was."""

from collections.abc import Iterator

from ._common.figures import Bar
from ._common.results import Results

OURS = "progress-tracker"
_STORES = {"SQLite": 1.5, "PostgreSQL": 1.5, "Redis": 1.2}
_FAN = {1000: 25.0, 5000: 110.0}
# the same limits as ratios to what a bare server took where they were set: 18 and 73 ms
_FLOOR = "bare Starlette"
_FAN_RATIOS = {1000: 25 / 18, 5000: 110 / 73}
_ROOM = 25.0
_BATCHED = 25_000


def judge(results: Results) -> Iterator[Bar]:
    """Yield the bars of what was measured."""
    tqdm = next((who for who in _of(results, "loop") if who.startswith("tqdm")), "")
    if tqdm:
        for name, title in (("loop", "an item of a loop"), ("update", "an update by one")):
            yield Bar(title, 0.6, "x tqdm", results.ratio(name, OURS, tqdm))
        yield Bar("an item, async for", 200, "ns", results.median("stream", OURS))
    for store, limit in _STORES.items():
        if f"write-{store}" in results.measures:
            ratio = results.ratio(f"write-{store}", OURS, "raw statement")
            yield Bar(f"a stored write, {store}", limit, "x the raw statement", ratio)
    if each := results.median("write-Redis", f"{OURS}, 100 a call"):
        yield Bar("operations stored, Redis", _BATCHED, "a second", 1e6 / each, at_least=True)
    for size, limit in _FAN.items():
        if f"fan-out-{size}" in results.measures:
            median = results.median(f"fan-out-{size}", OURS)
            yield Bar(f"one update to {size:,} sockets", limit, "ms", median)
            ratio = results.ratio(f"fan-out-{size}", OURS, _FLOOR)
            of_floor = round(_FAN_RATIOS[size], 2)
            yield Bar(f"one update to {size:,} sockets", of_floor, f"x {_FLOOR}", ratio)
            yield Bar(f"a socket of {size:,}", _ROOM, "KiB", results.median(f"memory-{size}", OURS))
    for store in _STORES:
        sizes = list(_of(results, f"children-{store}"))
        if len(sizes) == 2:
            ratio = results.ratio(f"children-{store}", sizes[1], sizes[0])
            yield Bar(f"a child's end, {sizes[1]}, {store}", 1.5, f"x {sizes[0]}", ratio)


def _of(results: Results, name: str) -> list[str]:
    measure = results.measures.get(name)
    return list(measure.figures) if measure else []
