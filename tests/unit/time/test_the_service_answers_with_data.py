"""ValidateSchedule: problems are data, coming times are right, only a broken request is an error."""

import asyncio

import pytest
from google.protobuf.json_format import ParseDict

from ordinaut.errors import InvalidArgumentError
from ordinaut.internal.v1.scheduler_service_pb2 import ValidateScheduleRequest, ValidateScheduleResponse
from ordinaut.v1.error_pb2 import ErrorReason
from scheduler.service import SchedulerService


async def ask(**fields: object) -> ValidateScheduleResponse:
    """The service's answer to a request in JSON form."""
    request = ParseDict({"now": "2026-05-01T10:00:00Z", **fields}, ValidateScheduleRequest())
    return await SchedulerService().ValidateSchedule(request, None)


async def test_coming_times() -> None:
    """Instants after `after_time`, local and nominal, with what a clock change did."""
    schedule = {"triggers": [{"cron": "30 2 * * *"}], "time_zone": "America/New_York"}
    answer = await ask(schedule=schedule, after_time="2026-03-07T12:00:00Z", count=2)
    assert not answer.violations
    assert [coming.id for coming in answer.upcoming] == ["20260308T070000Z", "20260309T063000Z"]
    assert [coming.local_time for coming in answer.upcoming] == [
        "2026-03-08T03:00:00-04:00",
        "2026-03-09T02:30:00-04:00",
    ]
    assert [coming.nominal_time for coming in answer.upcoming] == ["2026-03-08T02:30:00", "2026-03-09T02:30:00"]
    assert [coming.dst_adjusted for coming in answer.upcoming] == [True, False]


async def test_problems() -> None:
    """A wrong schedule is an answer, not an error."""
    answer = await ask(schedule={"triggers": [{"cron": "0 0 31 2 *"}], "time_zone": "UTC"}, count=5)
    assert [violation.reason for violation in answer.violations] == [ErrorReason.SCHEDULE_NEVER_FIRES]
    assert not answer.upcoming


async def test_a_preview_of_the_past_may_look_back() -> None:
    """A single time between `after_time` and now can be previewed, one before both is past."""
    answer = await ask(
        schedule={"triggers": [{"once": "2026-02-01T00:00:00Z"}]}, after_time="2026-01-01T00:00:00Z", count=1
    )
    assert [coming.id for coming in answer.upcoming] == ["20260201T000000Z"]
    answer = await ask(schedule={"triggers": [{"once": "2026-02-01T00:00:00Z"}]}, count=1)
    assert [violation.reason for violation in answer.violations] == [ErrorReason.ONCE_IN_PAST]


@pytest.mark.parametrize(
    "fields", [{"count": 1001}, {"count": -1}, {"now": None}, {"after_time": "9999-01-01T00:00:00Z"}]
)
async def test_a_broken_request(fields: dict[str, object]) -> None:
    """What Ordinaut's own processes must not send."""
    with pytest.raises(InvalidArgumentError):
        await ask(**fields)


async def test_the_event_loop_stays_responsive() -> None:
    """The evaluation runs in a thread: the event loop turns while a costly rule is looked at."""
    turns = 0
    rule = "DTSTART:20260101T000001Z\nRRULE:FREQ=SECONDLY;INTERVAL=86399;BYHOUR=9;BYMINUTE=0;BYSECOND=0"
    asked = asyncio.ensure_future(ask(schedule={"triggers": [{"rrule": rule}] * 5}))
    while not asked.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 10
    assert (await asked).violations
