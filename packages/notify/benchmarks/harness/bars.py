"""What has to be reached, and whether it was."""

from collections.abc import Iterator

from ._common.figures import Bar
from ._common.results import Results

OURS, FLOOR = "notify", "bare Starlette"
_FAN = {1000: 25.0, 5000: 110.0}
# the same limits as ratios to what a bare server took where they were set: 18 and 73 ms
_FAN_RATIOS = {1000: 25 / 18, 5000: 110 / 73}
_SENDING = {"send-SQLite": 0.5, "send-PostgreSQL": 0.5, "bulk-PostgreSQL": 0.5}
_STORM = 3.0
_SMTP = 0.8  # 1,400 where aiosmtplib did 1,760 on as many connections


def judge(results: Results) -> Iterator[Bar]:
    """Yield the bars of what was measured."""
    for name, limit in _SENDING.items():
        if name in results.measures:
            title = results.measures[name].title
            yield Bar(title, limit, "x the driver", _of_floor(results, name), at_least=True)
    if "smtp" in results.measures:
        median = results.median("smtp", f"{OURS}, a pool of 4")
        yield Bar("SMTP to a local sink", 1400, "a second", median, at_least=True)
        ratio = _of_floor(results, "smtp")
        yield Bar("SMTP to a local sink", _SMTP, "x aiosmtplib", ratio, at_least=True)
    if "http" in results.measures:
        ratio = _of_floor(results, "http")
        yield Bar("one HTTP provider", 0.8, "x bare httpx", ratio, at_least=True)
    for size, limit in _FAN.items():
        if f"fan-out-{size}" in results.measures:
            title = f"one message to {size:,} sockets"
            yield Bar(title, limit, "ms", results.median(f"fan-out-{size}", OURS))
            ratio = results.ratio(f"fan-out-{size}", OURS, FLOOR)
            yield Bar(title, round(_FAN_RATIOS[size], 2), f"x {FLOOR}", ratio)
    if "storm" in results.measures:
        for who, figure in results.measures["storm"].figures.items():
            if figure.ours:
                yield Bar(f"storm, {who.removeprefix(f'{OURS}, ')}", _STORM, "s", figure.median)


def _of_floor(results: Results, name: str) -> float | None:
    figures = results.measures[name].figures.values()
    ours = next((each.who for each in figures if each.ours), "")
    floor = next((each.who for each in figures if each.floor), "")
    return results.ratio(name, ours, floor)
