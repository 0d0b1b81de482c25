"""CPU time to compute the next instant of a schedule, by kind of trigger."""

import statistics
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.harness.targets import Row
from scheduler.schedules.schedule import CompiledSchedule

SAMPLES = 2_000
ZONE = "Europe/Chisinau"
START = "DTSTART;TZID=Europe/Chisinau:19970902T090000\nRRULE:"
TRIGGERS = {
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


def measure(trigger: dict[str, str]) -> list[float]:
    """CPU µs of each of SAMPLES calls, with rising instants about four hours apart."""
    schedule = {"triggers": [{"id": "t0", **trigger}], "time_zone": ZONE, "start_time": "1970-01-01T00:00:00Z"}
    plan = CompiledSchedule.compile(schedule)
    after = datetime(2026, 1, 1, tzinfo=UTC)
    samples = []
    for _ in range(SAMPLES):
        after += timedelta(hours=4, minutes=22, seconds=9)
        start = time.thread_time()
        plan.next(after)
        samples.append((time.thread_time() - start) * 1e6)
    return samples


async def rows(_folder: Path) -> AsyncGenerator[Row, None]:
    """The median of each kind of trigger, then the maximum over all of them."""
    slowest = 0.0
    for name, trigger in TRIGGERS.items():
        samples = measure(trigger)
        slowest = max(slowest, *samples)
        yield Row(f"next instant, {name}, p50", statistics.median(samples), "µs")
    yield Row("next instant, all triggers, maximum", slowest / 1000, "ms", 5, 0.2)
