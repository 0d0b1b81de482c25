"""Times at the edges of what exists: no crash, and either the right meaning or a message with the limit."""

from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from ordinaut.internal.v1.scheduler_service_pb2 import ValidateScheduleRequest
from ordinaut.v1.schedule_pb2 import Schedule
from scheduler.service import SchedulerService
from tests.sample import FULL
from tests.unit.time.writing import NOW, accepted, check, problems, schedule_of, take

ZONES = ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago")
YEARS = ("0001", "2200", "9999")


async def answer(schedule: Schedule) -> Any:
    """The whole answer of the service: times, explanation, warnings, runs a year."""
    request = ValidateScheduleRequest(schedule=schedule, count=3, yearly=True)
    request.now.FromDatetime(NOW)
    return await SchedulerService().ValidateSchedule(request, None)


def edges() -> list[dict[str, Any]]:
    """Documents with every property and field at an edge."""
    compact = [f"{year}{day}{time}" for year, day, time in product(YEARS, ("0101", "1231"), COMPACT)]
    extended = [f"{year}{day}T{time}" for year, day, time in product(YEARS, ("-01-01", "-12-31"), EXTENDED)]
    lines = "DTSTART:20260601T090000\nRRULE:FREQ=MONTHLY\n"
    return [
        *({"triggers": [{"rrule": f"FREQ=DAILY;UNTIL={at}"}]} for at in compact),
        *({"triggers": [{"rrule": f"DTSTART:20260601T090000\nRRULE:FREQ=HOURLY;UNTIL={at}"}]} for at in compact),
        *({"triggers": [{"rrule": f"DTSTART:{at}\nRRULE:FREQ=YEARLY"}]} for at in compact),
        *({"triggers": [{"rrule": f"DTSTART:{at}\nRRULE:FREQ=HOURLY;INTERVAL=7;COUNT=2"}]} for at in compact),
        *({"triggers": [{"rrule": f"{lines}{name}:{at}"}]} for name, at in product(("RDATE", "EXDATE"), compact)),
        *({**DAILY, "exclusions": [{"rrule": f"FREQ=DAILY;UNTIL={at}"}]} for at in compact),
        *({**DAILY, "exclusions": [{"date": at[:10]}]} for at in extended),
        *({"triggers": [{"once": at}]} for at in extended),
        *({**DAILY, field: at} for field, at in product(("start_time", "end_time"), extended)),
    ]


COMPACT = ("", "T000000", "T235959", "T235960", "T240000", "T235959Z")
EXTENDED = (
    "00:00:00", "23:59:59Z", "23:59:60Z", "24:00:00", "23:59:59.999999999Z", "00:00:00+14:00", "23:59:59-14:00",
    "00:00:00+15:00", "23:59:59-15:00", "00:00:00+23:59", "00:00:00+24:00", "00:00:00+00:60",
)  # fmt: skip
DAILY: dict[str, Any] = {"triggers": [{"cron": "0 9 * * *"}]}


@pytest.mark.parametrize("zone", ZONES[1:])
async def test_no_edge_is_an_internal_error(zone: str) -> None:
    """Each document is accepted or refused."""
    for document in edges()[:: 1 if FULL else 5]:
        try:
            schedule = ParseDict({**document, "time_zone": zone}, Schedule())
        except ParseError:
            continue  # not a Timestamp: refused by the gateway
        found = await answer(schedule)
        assert found.violations or found.explanation, document


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Kiritimati"])
@pytest.mark.parametrize(
    "fields",
    [
        {"triggers": [{"rrule": "FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0;UNTIL=99991231T235959"}]},
        {"triggers": [{"rrule": "FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0;UNTIL=99991231"}]},
        {"triggers": [{"rrule": "FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0;UNTIL=99991231T235959Z"}]},
        {**DAILY, "end_time": "9999-12-31T23:59:59Z"},
        {**DAILY, "end_time": "9999-12-31T23:59:59.999999999Z"},
    ],
)
def test_an_end_in_the_year_9999_is_no_end(zone: str, fields: dict[str, Any]) -> None:
    """The same times as without it."""
    [trigger], window = fields["triggers"], {name: value for name, value in fields.items() if name != "triggers"}
    plan = accepted(trigger, time_zone=zone, **window)
    plain = accepted({"cron": "0 9 * * *"}, time_zone=zone)
    assert [each.time for each in take(plan, NOW, 5)] == [each.time for each in take(plain, NOW, 5)]


@pytest.mark.parametrize("until", ["00010101", "00010101T000000", "00010101T000000Z", "19691231"])
@pytest.mark.parametrize("zone", ZONES)
def test_an_until_before_1970_is_refused(until: str, zone: str) -> None:
    """With its limit in the message."""
    [violation] = check({"rrule": f"FREQ=DAILY;UNTIL={until}"}, time_zone=zone).violations
    assert "UNTIL must be in the year 1970 or later" in violation.message


def test_a_leap_second_is_the_second_before() -> None:
    """RFC 5545 §3.3.12."""
    text = "DTSTART:20260601T090000Z\nRRULE:FREQ=MINUTELY;UNTIL=20260601T090060Z"
    plan = accepted({"rrule": text})
    assert [each.time for each in take(plan, None, 3)] == [datetime(2026, 6, 1, 9, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("2026-06-30T24:00:00Z", "2026-07-01T00:00:00Z"),
        ("2026-12-31T24:00", "2027-01-01T00:00:00"),
        ("2028-02-28T24:00:00+02:00", "2028-02-29T00:00:00+02:00"),
        ("2026-06-30T24:00:01Z", None),
        ("2026-06-31T24:00:00Z", None),
        ("2026-06-30T25:00:00Z", None),
        ("2026-06-30T10:00:00+02:60", None),
    ],
)
def test_the_end_of_a_day_is_the_next_day(text: str, becomes: str | None) -> None:
    """24:00 of ISO 8601 is repaired, other impossible times are not."""
    [violation] = check({"once": text}, time_zone="UTC").violations
    assert violation.HasField("fix") is (becomes is not None)
    if becomes is not None:
        assert MessageToDict(violation.fix.operations[0])["value"] == becomes
        assert not check({"once": becomes}, time_zone="UTC").violations


@pytest.mark.parametrize(
    ("weekdays", "expected"),
    [
        ("sun-sun", "0"), ("mon-mon", "1"), ("sat-sat", "6"), ("0-0", "0"), ("7-7", "0"), ("7-sun", "0"),
        ("0-sun", "0"), ("sun-7", "0"), ("fri-sun", "0,5,6"), ("sun-tue", "0,1,2"), ("0-7", "*"), ("sun-sat", "*"),
        ("5-7", "0,5,6"), ("sat-sun/2", "6"), ("mon-sun/3", "0,1,4"), ("1-7/6", "0,1"),
    ],
)  # fmt: skip
def test_ranges_of_weekdays(weekdays: str, expected: str) -> None:
    """A range from a day to itself is that day; Sunday is also the end of the week."""
    found, wanted = (accepted({"cron": f"0 9 * * {field}"}, time_zone="UTC") for field in (weekdays, expected))
    assert [each.time for each in take(found, NOW, 20)] == [each.time for each in take(wanted, NOW, 20)]


@pytest.mark.parametrize("field", range(5))
def test_a_range_of_one_value_is_that_value(field: int) -> None:
    """In every field, at its ends and with steps that are larger than the range."""
    low, high = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))[field]
    for value in (low, low + 1, high - 1, high):
        for item in (f"{value}-{value}", f"{value}-{value}/100", f"{value}-{high}/100", f"{value},{value}"):
            plans = []
            for text in (item, str(value)):
                words = ["0", "9", "*", "*", "*"]
                words[field] = text
                plans.append(accepted({"cron": " ".join(words)}, time_zone="UTC"))
            assert [each.time for each in take(plans[0], NOW, 3)] == [each.time for each in take(plans[1], NOW, 3)]


@pytest.mark.parametrize(
    "text", ["0 22-2 * * *", "0 9 * * fri-mon", "50-10 9 * * *", "0 9 28-3 * *", "0 9 1 nov-feb *"]
)
def test_a_range_that_runs_backwards_is_refused(text: str) -> None:
    """As in Vixie cron, which names no meaning for it."""
    assert problems({"cron": text}, time_zone="UTC") == {"triggers[0].cron": "INVALID_CRON"}


@pytest.mark.parametrize(
    ("text", "days", "words"),
    [
        ("0 9 */100,1-7 * 1", [4, 1, 6], "on day 1-7 of the month, but only on Monday, at 09:00"),
        ("0 9 1-7 * */100,1", [3, 4, 1], "on day 1-7 of the month, but only on Monday and Sunday, at 09:00"),
        ("0 9 1-7 * 1", [2, 3, 4], "on day 1-7 of the month or on Monday at 09:00"),
        ("0 9 * * 1", [4, 11, 18], "on Monday at 09:00"),
        ("0 9 1-7 * *", [2, 3, 4], "on day 1-7 of the month at 09:00"),
    ],
)
async def test_a_day_field_that_begins_with_a_star_must_match(text: str, days: list[int], words: str) -> None:
    """Vixie's rule, and the explanation that says the same."""
    found = await answer(schedule_of({"cron": text}, time_zone="UTC"))
    assert [int(each.local_time[8:10]) for each in found.upcoming] == days
    assert found.explanation.startswith(f"Runs {words}, in the time of UTC.")
