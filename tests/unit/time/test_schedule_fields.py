"""Exclusions, dst, jitter, max_occurrences: what they do to the instants, and what is refused."""

import json
import time
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.schedules.jitter import fire_time
from scheduler.schedules.schedule import CompiledSchedule
from scheduler.service import upcoming
from scheduler.validation.schedule import compiled
from tests.unit.time.dst_table import tables
from tests.unit.time.outage_table import table
from tests.unit.time.writing import NOW, accepted, check, problems, take

DAILY = {"cron": "0 9 * * *"}
TASK = UUID(int=7)


def days(*schedule: dict[str, Any], number: int = 400, **fields: Any) -> list[tuple[date, bool]]:
    """The local day of each instant from now on, and whether it is excluded."""
    plan = accepted(*schedule, **fields)
    return [(i.time.astimezone(plan.zone).date(), i.excluded) for i in take(plan, NOW, number)]


def test_the_tables_of_the_documentation_are_what_happens() -> None:
    """`docs/time.md` shows what the triggers do; `python -m tests.unit.time.dst_table` prints it anew."""
    text = (Path(__file__).parents[3] / "docs" / "time.md").read_text("utf-8")
    assert tables() in text
    assert table() in text, "python -m tests.unit.time.outage_table prints it anew"


def test_an_excluded_day_is_named_and_not_open() -> None:
    """A date, and every day that a rule names, in the schedule's zone."""
    excluded = [{"date": "2026-05-03"}, {"rrule": "FREQ=WEEKLY;BYDAY=MO"}]
    found = days(DAILY, time_zone="Pacific/Auckland", exclusions=excluded, number=14)
    assert {day for day, out in found if out} == {date(2026, 5, 3), date(2026, 5, 4), date(2026, 5, 11)}
    assert len(found) == 14


def test_an_exclusion_by_rule_keeps_its_start_for_ever() -> None:
    """A rule without DTSTART counts from the creation, which is written in."""
    found = check(DAILY, time_zone="UTC", exclusions=[{"rrule": "FREQ=DAILY;INTERVAL=3"}]).schedule
    assert found.exclusions[0].rrule == "DTSTART:20260501T100000Z\nRRULE:FREQ=DAILY;INTERVAL=3"


def test_open_instants_step_over_many_excluded_ones() -> None:
    """A thousand excluded seconds cost one step: exclusions take whole days away."""
    plan = accepted({"interval": "1s"}, exclusions=[{"date": "2026-05-02"}], start_time=NOW.isoformat())
    instant, _ = plan.next_open(datetime(2026, 5, 1, 23, 59, 59, tzinfo=UTC))
    assert instant is not None
    assert instant.time == datetime(2026, 5, 3, tzinfo=UTC)
    [coming] = upcoming(check({"interval": "1s"}, exclusions=[{"date": "2026-05-01"}]).schedule, NOW, 1)
    assert coming.id == "20260502T000000Z"


def test_a_day_that_begins_after_a_gap_is_excluded_from_its_first_instant() -> None:
    """In Cairo clocks jump at midnight: the day of the change begins at 01:00."""
    plan = accepted({"cron": "*/30 * * * *"}, time_zone="Africa/Cairo", exclusions=[{"date": "2026-04-24"}])
    found = take(plan, datetime(2026, 4, 23, 20, 45, tzinfo=UTC), 3)
    assert [(i.time.astimezone(plan.zone).strftime("%d %H:%M"), i.excluded) for i in found] == [
        ("23 23:00", False),
        ("23 23:30", False),
        ("24 01:00", True),
    ]


def test_a_schedule_with_every_day_excluded_is_refused() -> None:
    """It would never run."""
    end = {"end_time": "2026-05-05T00:00:00Z"}
    every_day = {"exclusions": [{"rrule": "FREQ=DAILY"}]}
    assert problems(DAILY, time_zone="UTC", **end, **every_day) == {"triggers": "SCHEDULE_NEVER_FIRES"}
    assert problems(DAILY, time_zone="UTC", **every_day) == {"triggers": "SCHEDULE_TOO_COSTLY"}


@pytest.mark.parametrize("most", [1, 3, 1000])
def test_max_occurrences_ends_the_schedule(most: int) -> None:
    """So many from start_time on, excluded ones not counted; in a new process as well, with or without the state."""
    fields: dict[str, Any] = {"time_zone": "UTC", "exclusions": [{"date": "2026-05-03"}], "max_occurrences": most}
    found = days(DAILY, number=1100, **fields)
    assert sum(not out for _, out in found) == most
    assert found[0][0] == date(2026, 5, 2)
    schedule = MessageToDict(check(DAILY, **fields).schedule, preserving_proto_field_name=True)
    _, state = CompiledSchedule(schedule).next(NOW)
    last = datetime.combine(found[-1][0], datetime.min.time(), UTC) + timedelta(hours=9)
    for known in (None, json.loads(json.dumps(state))):
        assert CompiledSchedule(schedule).next(last, known)[0] is None
        assert CompiledSchedule(schedule).next(last - timedelta(seconds=1), known)[0] is not None


@pytest.mark.parametrize("fraction", [0, 300])
@pytest.mark.parametrize("trigger", [{"cron": "* * * * *"}, {"interval": "60s"}, {"rrule": "FREQ=MINUTELY"}])
def test_max_occurrences_counts_what_can_fire(trigger: dict[str, Any], fraction: int) -> None:
    """Instants after the creation, also if it is itself one; the time from which they count is written."""
    created = NOW + timedelta(milliseconds=fraction)
    found = check(trigger, now=created, time_zone="UTC", max_occurrences=2).schedule
    assert found.counted_from.ToDatetime(UTC) == NOW + timedelta(seconds=1)
    assert not found.HasField("start_time")
    assert [instant.time for instant in take(compiled(found), created, 5)] == [
        NOW + timedelta(minutes=1),
        NOW + timedelta(minutes=2),
    ]


def test_the_most_expensive_exclusions_are_affordable() -> None:
    """Ten rules over a year of excluded days; far above the cost, which is a few milliseconds."""
    rules = [{"rrule": f"FREQ=YEARLY;BYMONTH={month};BYMONTHDAY=31,-1;BYSETPOS=2"} for month in range(1, 10)]
    until = {"rrule": "FREQ=DAILY;UNTIL=20270501T000000Z"}
    plan = accepted({"interval": "1s"}, exclusions=[*rules, until], start_time=NOW.isoformat())
    started = time.thread_time()
    instant, _ = plan.next_open(NOW)
    assert time.thread_time() - started < 0.5
    assert instant is not None
    assert instant.time == datetime(2027, 5, 1, tzinfo=UTC)


def test_max_occurrences_of_intervals_with_other_triggers() -> None:
    """Each interval has its own start, so that the limit needs none."""
    found = check({"cron": "0 12 * * *"}, {"interval": "3600s"}, time_zone="UTC", max_occurrences=3).schedule
    times = [instant.time for instant in take(compiled(found), NOW, 5)]
    assert times == [NOW + timedelta(hours=1), NOW + timedelta(hours=2), NOW + timedelta(hours=3)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 4000), st.sampled_from([{"interval": "60s"}, {"cron": "*/7 1-2 * * *"}]), st.integers(0, 2**64))
def test_jitter_keeps_the_order(seconds: int, trigger: dict[str, Any], task: int) -> None:
    """A start lies at or after its instant, before the next one, within the jitter, and is always the same."""
    fields: dict[str, Any] = {
        "time_zone": "America/New_York",
        "start_time": "2026-03-07T00:00:00Z",
        "jitter": f"{seconds}s",
    }
    plan = accepted(trigger, **fields)
    found = take(plan, datetime(2026, 3, 8, 5, tzinfo=UTC), 30)
    for instant, following in pairwise(found):
        start = fire_time(plan, UUID(int=task), instant)
        assert instant.time <= start < min(following.time, instant.time + timedelta(seconds=seconds))
        assert start == fire_time(CompiledSchedule.compile(json.loads(json.dumps({
            "triggers": [{"id": "t0", **trigger}], **fields}))), UUID(int=task), instant)  # fmt: skip


def test_jitter_spreads_and_is_in_the_preview() -> None:
    """Tasks with one schedule start at different times; upcoming shows the due moment and the start."""
    schedule = check(DAILY, time_zone="UTC", jitter="600s").schedule
    starts = {upcoming(schedule, NOW, 1, UUID(int=number))[0].fire_time.seconds for number in range(50)}
    assert len(starts) > 40
    [coming] = upcoming(schedule, NOW, 1, TASK)
    assert coming.id == "20260502T090000Z"
    assert coming.local_time == "2026-05-02T09:00:00+00:00"
    due = datetime(2026, 5, 2, 9, tzinfo=UTC)
    assert coming.fire_time.ToDatetime(UTC) - due == coming.jitter.ToTimedelta() > timedelta()
    [unknown] = upcoming(schedule, NOW, 1)
    assert (unknown.fire_time.ToDatetime(UTC), unknown.HasField("jitter")) == (due, False)
    assert unknown.note == "starts up to 0:10:00 later"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"exclusions": [{}]}, {"exclusions[0]": "FIELD_REQUIRED"}),
        ({"exclusions": [{"date": "2026-02-30"}]}, {"exclusions[0].date": "INVALID_TIME"}),
        ({"exclusions": [{"date": "20260201"}]}, {"exclusions[0].date": "INVALID_TIME"}),
        ({"exclusions": [{"date": "1066-10-14"}]}, {"exclusions[0].date": "INVALID_TIME"}),
        ({"exclusions": [{"rrule": "FREQ=NEVER"}]}, {"exclusions[0].rrule": "INVALID_RRULE"}),
        ({"exclusions": [{"rrule": "FREQ=HOURLY"}]}, {"exclusions[0].rrule": "INVALID_RRULE"}),
        ({"exclusions": [{"rrule": "FREQ=DAILY;INTERVAL=2"}] * 11}, {"exclusions": "TOO_LARGE"}),
        ({"exclusions": [{"date": "2026-02-01"}] * 101}, {"exclusions": "TOO_LARGE"}),
        ({"jitter": "86401s"}, {"jitter": "FIELD_INVALID"}),
        ({"jitter": "-1s"}, {"jitter": "FIELD_INVALID"}),
        ({"max_occurrences": 1001}, {"max_occurrences": "FIELD_INVALID"}),
        ({"max_occurrences": -1}, {"max_occurrences": "FIELD_INVALID"}),
        ({"catch_up": {"max": 5}}, {"catch_up.max": "FIELD_INVALID"}),
        ({"catch_up": {"policy": "ALL", "max": 1001}}, {"catch_up.max": "FIELD_INVALID"}),
        ({"catch_up": {"policy": 9}}, {"catch_up.policy": "FIELD_INVALID"}),
        ({"dst": {"gap": 9}}, {"dst.gap": "FIELD_INVALID"}),
        ({"dst": {"overlap": 9}}, {"dst.overlap": "FIELD_INVALID"}),
    ],
)
def test_what_is_refused(fields: dict[str, Any], expected: dict[str, str]) -> None:
    """Each at its own path."""
    assert problems(DAILY, time_zone="UTC", **fields) == expected


def test_a_single_time_in_a_gap_that_is_skipped_is_refused() -> None:
    """It would never run."""
    found = problems({"once": "2026-03-08T02:30:00"}, time_zone="America/New_York", dst={"gap": "SKIP"})
    assert found == {"triggers[0].once": "SCHEDULE_NEVER_FIRES"}
