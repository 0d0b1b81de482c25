"""How long the next instant takes, by kind of rule: `python -m benchmarks.triggers`."""

import asyncio
import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.targets import Row
from scheduler.schedules.schedule import CompiledSchedule

ROUNDS = 2_000
ZONE = "Europe/Chisinau"
START = "DTSTART;TZID=Europe/Chisinau:19970902T090000\nRRULE:"
RULES = {
    "cron every minute": {"cron": "* * * * *"},
    "cron weekdays at nine": {"cron": "0 9 * * mon-fri"},
    "cron leap day": {"cron": "0 0 29 2 *"},
    "rrule secondly": {"rrule": START + "FREQ=SECONDLY;INTERVAL=7"},
    "rrule hourly by minute": {"rrule": START + "FREQ=HOURLY;BYMINUTE=0,20,40"},
    "rrule daily, 29 years old": {"rrule": START + "FREQ=DAILY"},
    "rrule last Sunday": {"rrule": START + "FREQ=MONTHLY;BYDAY=-1SU"},
    "rrule yearly by week": {"rrule": START + "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO"},
    "rrule minutely, leap Monday": {"rrule": START + "FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO"},
    "interval": {"interval": "90s"},
}


def measured(rule: dict[str, str]) -> list[float]:
    """CPU microseconds of each of ROUNDS answers, asked from rising moments without any state."""
    schedule = {"triggers": [{"id": "t0", **rule}], "time_zone": ZONE, "start_time": "1970-01-01T00:00:00Z"}
    plan = CompiledSchedule.compile(schedule)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    spent = []
    for _ in range(ROUNDS):
        moment += timedelta(hours=4, minutes=22, seconds=9)
        began = time.thread_time()
        plan.next(moment)
        spent.append((time.thread_time() - began) * 1e6)
    return spent


async def rows(_folder: Path | None = None) -> list[Row]:
    """The median of each kind of rule, and the slowest answer of all."""
    spent = {name: measured(rule) for name, rule in RULES.items()}
    worst = max(max(some) for some in spent.values())
    medians = [Row(f"next instant of: {name}", statistics.median(some), "µs") for name, some in spent.items()]
    return [*medians, Row("slowest answer of all", worst / 1000, "ms", 5, 0.2)]


if __name__ == "__main__":
    for row in asyncio.run(rows()):
        print(f"{row.what:45} {row.value:10.1f} {row.unit}")
