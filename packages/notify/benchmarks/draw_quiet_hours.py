"""Draw the hard cases of quiet hours into the documentation: ``python draw_quiet_hours.py``.

The table and the picture come from the code that decides; the same cases are a test with the times
written out.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from notify.quiet import QuietHours, quiet_until

FOLDER = Path(__file__).parents[3] / "docs" / "notify" / "explanation"
B, LORD_HOWE = "Europe/Berlin", "Australia/Lord_Howe"
CASES = (
    ("over midnight", "22:00", "07:00", B, None, "2026-01-14T21:30Z"),
    ("Friday night only", "22:00", "07:00", B, ("fri",), "2026-01-17T05:59Z"),
    ("clocks go forward inside", "22:00", "07:00", B, None, "2026-03-29T00:30Z"),
    ("clocks go back inside", "22:00", "07:00", B, None, "2026-10-25T00:30Z"),
    ("end in the hour that is skipped", "22:00", "02:30", B, None, "2026-03-29T00:30Z"),
    ("end in the hour that comes twice", "22:00", "02:30", B, None, "2026-10-25T00:45Z"),
    ("start in the hour that is skipped", "02:30", "06:00", B, None, "2026-03-29T01:00Z"),
    ("half an hour of summer", "21:00", "08:00", LORD_HOWE, None, "2026-04-04T15:10Z"),
    ("clocks change at midnight", "23:00", "06:00", "Africa/Cairo", None, "2026-04-23T22:30Z"),
    ("a zone of a quarter", "22:00", "07:00", "Asia/Kathmandu", None, "2026-06-01T18:00Z"),
    ("a day that does not exist", "22:00", "07:00", "Pacific/Apia", None, "2011-12-30T09:30Z"),
)  # fmt: skip


def rows() -> list[tuple[str, str, str, str, str]]:
    """Return each case: what, hours and zone, now, local now, until when it waits."""
    made = []
    for name, start, end, zone, days, at in CASES:
        now = datetime.fromisoformat(at)
        until = quiet_until((QuietHours(start, end, zone, days),), now, None)
        here = ZoneInfo(zone)
        shown = "goes out at once"
        if until is not None:
            shown = f"{until.astimezone(here):%a %d %b %H:%M %Z}"
        hours = f"{start} to {end}, {zone}" + (f", {', '.join(days)}" if days else "")
        made.append(
            (name, hours, f"{now:%Y-%m-%d %H:%M}", f"{now.astimezone(here):%a %H:%M %Z}", shown)
        )
    return made


def table() -> str:
    """Return the cases in Markdown."""
    head = "| case | quiet | now (UTC) | there it is | held until |\n|---|---|---|---|---|\n"
    return head + "".join(f"| {' | '.join(row)} |\n" for row in rows())


def picture() -> str:
    """Return the nights of three clock changes as bars of real time."""
    nights = (
        ("ordinary night", datetime(2026, 1, 14, 20, tzinfo=UTC)),
        ("forward: an hour less", datetime(2026, 3, 28, 20, tzinfo=UTC)),
        ("back: an hour more", datetime(2026, 10, 24, 19, tzinfo=UTC)),
    )
    window, zone = QuietHours("22:00", "07:00", "Europe/Berlin"), ZoneInfo("Europe/Berlin")
    width, left, step = 44, 190, timedelta(minutes=15)
    parts = []
    for line, (name, begin) in enumerate(nights):
        top = 40 + line * 74
        parts.append(f'<text x="8" y="{top + 20}" class="t">{name}</text>')
        for hour in range(13):
            moment = begin + timedelta(hours=hour)
            x = left + hour * width
            parts.append(
                f'<text x="{x}" y="{top + 46}" class="s">{moment.astimezone(zone):%H:%M}</text>'
                f'<path d="M{x} {top + 30}v5" class="l"/>'
            )
        for quarter in range(12 * 4):
            moment = begin + quarter * step
            quiet = quiet_until((window,), moment, None) is not None
            x = left + quarter * width / 4
            kind = "q" if quiet else "f"
            size = f'width="{width / 4:g}" height="28"'
            parts.append(f'<rect x="{x:g}" y="{top}" {size} class="{kind}"/>')
    style = (
        ".t{font:15px sans-serif;fill:#444}.s{font:11px sans-serif;fill:#666;text-anchor:middle}"
        ".q{fill:#34508b}.f{fill:#cfd9ee}.l{stroke:#888}"
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 262" role="img" '
        'aria-label="Quiet hours from 22:00 to 07:00 in Berlin in three nights">'
        f"<style>{style}</style>"
        '<text x="8" y="20" class="t">22:00 to 07:00 in Berlin; a step is a quarter hour of real '
        f"time, the labels are the wall clock</text>{''.join(parts)}</svg>\n"
    )


if __name__ == "__main__":
    (FOLDER / "quiet-hours.svg").write_text(picture(), encoding="utf-8")
    (FOLDER / "quiet-hours-cases.inc").write_text(table(), encoding="utf-8")
