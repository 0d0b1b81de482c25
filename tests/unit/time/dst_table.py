"""The tables of `docs/time.md`: what each kind of trigger does at a clock change under each choice of `dst`.

`python -m tests.unit.time.dst_table` prints them.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from scheduler.validation.schedule import compiled
from tests.unit.time.writing import check, take

ZONE = "America/New_York"
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


class Row(NamedTuple):
    """A kind of trigger, as the table calls it, and the trigger itself for gap and overlap."""

    name: str
    in_gap: Mapping[str, Any]
    in_overlap: Mapping[str, Any]


START = "DTSTART;TZID=America/New_York:20260101T000000\nRRULE:"
ROWS = (
    Row("cron at a fixed time", {"cron": "30 2 * * *"}, {"cron": "30 1 * * *"}),
    Row("cron with `*` in minute or hour", {"cron": "30 */1 * * *"}, {"cron": "30 */1 * * *"}),
    Row(
        "rrule, daily or longer",
        {"rrule": START + "FREQ=DAILY;BYHOUR=2;BYMINUTE=30"},
        {"rrule": START + "FREQ=DAILY;BYHOUR=1;BYMINUTE=30"},
    ),
    Row("once, local", {"once": "2026-03-08T02:30:00"}, {"once": "2026-11-01T01:30:00"}),
    Row(
        "rrule, hourly or shorter",
        {"rrule": START + "FREQ=HOURLY;BYMINUTE=30"},
        {"rrule": START + "FREQ=HOURLY;BYMINUTE=30"},
    ),
    Row("interval", {"interval": "3600s"}, {"interval": "3600s"}),
)
GAP = ("2026-03-08T01:15:00-05:00", "2026-03-08T04:15:00-04:00")
OVERLAP = ("2026-11-01T00:45:00-04:00", "2026-11-01T02:15:00-05:00")


def tables() -> str:
    """Both tables in Markdown."""
    gap = ("", "RUN_AFTER", "SHIFT", "SKIP")
    overlap = ("", "FIRST", "LAST", "BOTH")
    return "\n".join(
        [
            f"Clocks in {ZONE} jump from 02:00 to 03:00 on 8 March 2026. Times of firing between 01:15 and 04:15:",
            "",
            *_table("gap", gap, GAP, lambda row: row.in_gap),
            "",
            "Clocks are set back from 02:00 to 01:00 on 1 November 2026. Times of firing between 00:45 and 02:15:",
            "",
            *_table("overlap", overlap, OVERLAP, lambda row: row.in_overlap),
        ]
    )


def _table(field: str, values: tuple[str, ...], window: tuple[str, str], trigger: Any) -> Iterator[str]:
    yield "| trigger | " + " | ".join(f"`{value}`" if value else "default" for value in values) + " |"
    yield "|---" * (len(values) + 1) + "|"
    for row in ROWS:
        cells = [fired(trigger(row), {field: value} if value else {}, window) for value in values]
        yield f"| {row.name} | " + " | ".join(cells) + " |"


def fired(trigger: Mapping[str, Any], dst: Mapping[str, str], window: tuple[str, str]) -> str:
    """The local times at which the trigger fires in the window; the second pass is marked `2nd`."""
    begin, end = map(datetime.fromisoformat, window)
    fields: dict[str, Any] = {"time_zone": ZONE, "start_time": "2026-01-01T05:30:00Z", "dst": dict(dst)}
    found = check(dict(trigger), now=NEW_YEAR, **fields)
    if found.violations:
        return "rejected"
    plan = compiled(found.schedule)
    shown = [instant.time.astimezone(plan.zone) for instant in take(plan, begin, 6) if instant.time < end]
    return ", ".join(f"{local:%H:%M}{' (2nd)' if local.fold else ''}" for local in shown) or "nothing"


if __name__ == "__main__":
    print(tables())
