"""The cost of an answer does not grow with the age of a rule, nor with the distance of its next time."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.time.writing import accepted

CAP_SECONDS = 0.25
"""Of CPU. Fifty times the bound of one answer: a watchdog, not a measurement."""

HOURS = ",".join(map(str, range(24)))
EXCLUDED = ",".join(f"2026{month:02}{day:02}T000000Z" for month in range(1, 13) for day in range(1, 29))
RULES = [
    {"rrule": "DTSTART:19700101T000000Z\nRRULE:FREQ=SECONDLY;INTERVAL=7"},
    {"rrule": "DTSTART:19700101T000000Z\nRRULE:FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO"},
    {"rrule": "DTSTART:19700101T000000Z\nRRULE:FREQ=HOURLY;BYMONTH=1;BYMONTHDAY=1;BYHOUR=0"},
    {"rrule": "DTSTART:19700101T000000Z\nRRULE:FREQ=DAILY;INTERVAL=3;COUNT=10000"},
    {"rrule": "DTSTART:19700101T000000Z\nRRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;COUNT=10000"},
    {"rrule": "DTSTART:19700101T000000Z\nRRULE:FREQ=MONTHLY;BYDAY=MO;BYMONTHDAY=13;BYMONTH=2"},
    {"rrule": "DTSTART:19720229T000000Z\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=SU"},
    {"rrule": f"DTSTART:19700101T000000Z\nRRULE:FREQ=YEARLY;BYHOUR={HOURS};BYSETPOS=-1;BYDAY=MO"},
    {"rrule": f"DTSTART:19700101T000000Z\nRRULE:FREQ=DAILY\nEXDATE:{EXCLUDED}"},
    {"cron": "0 0 29 2 *"},
    {"cron": "0 0 29 2 */3"},
    {"interval": "1s"},
]  # fmt: skip


@pytest.mark.parametrize("trigger", RULES, ids=range(len(RULES)))
def test_next(trigger: dict[str, str]) -> None:
    """One answer, at several ages of the rule."""
    plan = accepted(trigger, time_zone="UTC", start_time="1970-01-01T00:00:00Z")
    _, state = plan.next(None)
    for year in (1971, 2026, 2096):
        started = time.thread_time()
        plan.next(datetime(year, 3, 1, tzinfo=UTC) + timedelta(seconds=1), state)
        assert time.thread_time() - started < CAP_SECONDS
