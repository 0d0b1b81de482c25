"""Whatever the schedule: instants rise, lie in the window, and do not depend on where the asking began."""

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.json_format import MessageToDict
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scheduler.schedules.schedule import CompiledSchedule, Instant
from scheduler.validation.schedule import validate
from tests.unit.time.writing import schedule_of, take

ZONES = ("UTC", "America/New_York", "Europe/Chisinau", "Australia/Lord_Howe", "Africa/Casablanca", "Antarctica/Troll")
CRON = st.tuples(
    st.sampled_from(["*", "*/7", "0", "30", "15,45", "0-20/10"]),
    st.sampled_from(["*", "*/2", "0", "1,2", "2-3", "23"]),
    st.sampled_from(["*", "*", "13", "31"]),
    st.sampled_from(["*", "*", "3,10,11"]),
    st.sampled_from(["*", "*", "5", "sun"]),
).map(lambda fields: {"cron": " ".join(fields)})
RRULE = st.tuples(
    st.sampled_from(
        [
            "FREQ=HOURLY", "FREQ=HOURLY;INTERVAL=5;BYMINUTE=0,30", "FREQ=MINUTELY;INTERVAL=45;BYHOUR=1,2,3",
            "FREQ=DAILY", "FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=0,15,45", "FREQ=WEEKLY;BYDAY=SA,SU",
            "FREQ=MONTHLY;BYDAY=-1SU",
            "FREQ=MINUTELY;BYHOUR=2;BYSECOND=0,30", "FREQ=MONTHLY;BYMONTHDAY=8,25,-1",
        ]
    ),
    st.sampled_from(["", ";COUNT=7", ";COUNT=60"]),
    st.sampled_from(["", "\nEXDATE:20261101T063000Z,20261101T013000", "\nRDATE:20261101T053000Z,20270101T000000"]),
).map(lambda parts: {"rrule": "DTSTART:20260228T013000\nRRULE:" + "".join(parts)})  # fmt: skip
OTHER = st.sampled_from(
    [{"interval": "1200s"}, {"interval": "86400s"}, {"once": "2026-11-01T01:30:00"}, {"once": "2026-10-25T00:30:00Z"}]
)
TRIGGERS = st.lists(st.one_of(CRON, RRULE, OTHER), min_size=1, max_size=3)
CHANGES = st.sampled_from(
    ["2026-03-07T12:00Z", "2026-03-28T12:00Z", "2026-04-04T06:00Z", "2026-10-24T20:00Z", "2026-10-31T23:00Z"]
)
START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def planned(triggers: list[dict[str, Any]], zone: str) -> CompiledSchedule:
    """The schedule as a process sees it that has just started: nothing shared with another one."""
    schedule = schedule_of(*triggers, time_zone=zone, start_time=START.isoformat(), end_time=END.isoformat())
    found = validate(schedule, START, stored=True)
    assume(not found.violations)
    return CompiledSchedule(MessageToDict(found.schedule, preserving_proto_field_name=True))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(TRIGGERS, st.sampled_from(ZONES), CHANGES)
def test_instants_rise_inside_the_window(triggers: list[dict[str, Any]], zone: str, around: str) -> None:
    """Strictly rising whole seconds in [start, end), each with a name of its own."""
    after = datetime.fromisoformat(around)
    instants = take(planned(triggers, zone), after, 40)
    times = [instant.time for instant in instants]
    assert times == sorted(set(times))
    assert all(max(after, START - TICK) < time < END for time in times)
    assert all(time.microsecond == 0 for time in times)
    assert len({instant.key_nominal for instant in instants}) == len(instants)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(TRIGGERS, st.sampled_from(ZONES), CHANGES, st.integers(0, 20), st.integers(0, 7200))
def test_a_restart_changes_nothing(
    triggers: list[dict[str, Any]], zone: str, around: str, steps: int, seconds: int
) -> None:
    """A new process, asked from any moment with the state of an earlier one, goes on with the same instants."""
    plan = planned(triggers, zone)
    walked = take(plan, datetime.fromisoformat(around), steps + 30)
    assume(len(walked) > steps)
    moment = walked[steps].time + timedelta(seconds=seconds)
    _, state = plan.next(walked[0].time)
    rest = [instant for instant in walked if instant.time > moment]
    fresh = planned(triggers, zone)
    found: list[Instant] = []
    while len(found) < len(rest):
        instant, state = fresh.next(moment, state)
        assert instant is not None
        found.append(instant)
        moment = instant.time
    assert found == rest
