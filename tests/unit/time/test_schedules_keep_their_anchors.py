"""A schedule that is stored again keeps what rules and intervals count from; only what changes begins anew."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from ordinaut.v1.schedule_pb2 import Schedule
from scheduler.validation.schedule import Checked, compiled, validate
from tests.sample import FULL
from tests.unit.time.writing import NOW, check, schedule_of, take

LATER = NOW + timedelta(days=3, hours=5, milliseconds=250)
ZONE = "Europe/Chisinau"
DAILY, SECONDS, RULE = {"cron": "0 9 * * *"}, {"interval": "8s"}, {"rrule": "FREQ=DAILY;INTERVAL=3;COUNT=9"}
EVENT = {"event": {"topic": "mail.*"}}


def stored(*triggers: dict[str, Any], **fields: Any) -> Schedule:
    found = check(*triggers, **fields)
    assert not found.violations, found.violations
    return found.schedule


def replaced(before: Schedule, *triggers: dict[str, Any], **fields: Any) -> Checked:
    return replaced_at(LATER, before, *triggers, **fields)


def replaced_at(now: datetime, before: Schedule, *triggers: dict[str, Any], **fields: Any) -> Checked:
    found = validate(schedule_of(*triggers, **fields), now, stored=False, before=before)
    assert not found.violations, found.violations
    return found


def anchors(schedule: Schedule) -> dict[str, datetime]:
    return {part.id: part.anchor_time.ToDatetime(UTC) for part in schedule.triggers if part.HasField("anchor_time")}


WHOLE: dict[str, Any] = {
    "time_zone": "Asia/Kolkata",
    "exclusions": [{"rrule": "FREQ=MONTHLY;BYDAY=1MO"}, {"date": "2026-12-25"}],
    "max_occurrences": 900,
    "end_time": "2199-01-01T00:00:00Z",
    "jitter": "60s",
}
TRIGGERS: list[dict[str, Any]] = [
    {"cron": "0 9 * * mon-fri"},
    {"rrule": "FREQ=WEEKLY;BYDAY=MO,WE;INTERVAL=2;COUNT=7"},
    {"interval": "3600s", "params": {"x": 1}},
    {"once": "2026-05-02T00:00:00Z"},
    EVENT,
]
OTHERWISE: list[dict[str, Any]] = [
    {"cron": "00 9  * * 1-5"},
    {"rrule": "RRULE:INTERVAL=02;byday=WE,MO;COUNT=7;FREQ=WEEKLY;WKST=MO"},
    {"params": {"x": 1.0}, "interval": "3600.000s"},
    {"once": "2026-05-02T02:00:00+02:00"},
    EVENT,
]


@pytest.mark.parametrize("triggers", [TRIGGERS, OTHERWISE])
@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Asia/Calcutta"])
def test_the_same_schedule_in_any_spelling_is_unchanged(triggers: list[dict[str, Any]], zone: str) -> None:
    """Also with messages that are set and empty, long afterwards, and when its times have passed."""
    before = stored(*TRIGGERS, **WHOLE)
    fields = {**WHOLE, "time_zone": zone, "dst": {}, "catch_up": {}}
    for days in (0, 3, 400):
        assert replaced_at(LATER + timedelta(days=days), before, *triggers, **fields).schedule == before


def test_a_schedule_that_was_read_and_sent_back_is_unchanged() -> None:
    before = stored(*TRIGGERS, **WHOLE)
    assert validate(before, LATER, stored=False, before=before).schedule == before
    read = MessageToDict(before, preserving_proto_field_name=True)
    for part in read["triggers"] + read["exclusions"]:
        part.pop("anchor_time", None)  # as a client with the older contract sends it
    assert validate(ParseDict(read, Schedule()), LATER, stored=False, before=before).schedule == before


def test_the_values_that_the_server_wrote_cannot_be_changed_by_an_update() -> None:
    before = stored(SECONDS, RULE, time_zone=ZONE, max_occurrences=5)
    sent = Schedule()
    sent.CopyFrom(before)
    for trigger in sent.triggers:
        trigger.anchor_time.seconds += 1
    sent.counted_before = 3
    assert validate(sent, LATER, stored=False, before=before).schedule == before


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_reordered_triggers_keep_ids_and_anchors(order: tuple[int, ...]) -> None:
    triggers: list[dict[str, Any]] = [SECONDS, {"interval": "9s"}, RULE, EVENT]
    before = stored(*triggers, time_zone=ZONE)
    after = replaced(before, *(triggers[place] for place in order), time_zone=ZONE).schedule
    assert [trigger.id for trigger in after.triggers] == [f"t{place}" for place in order]
    assert anchors(after) == anchors(before)


def test_only_the_trigger_that_changes_gets_a_new_anchor() -> None:
    """Not its neighbours, when one is added, removed, changed or renamed."""
    before = stored(SECONDS, {"interval": "600s"}, RULE, time_zone=ZONE)
    old = anchors(before)
    after = replaced(before, DAILY, SECONDS, {"interval": "600s"}, RULE, time_zone=ZONE, jitter="5s").schedule
    assert [trigger.id for trigger in after.triggers] == ["t3", "t0", "t1", "t2"]
    assert anchors(after) == old
    after = replaced(before, SECONDS, {"interval": "660s"}, RULE, time_zone=ZONE).schedule
    [changed] = [name for name in anchors(after) if name not in old or anchors(after)[name] != old[name]]
    assert anchors(after)[changed] == LATER.replace(microsecond=0)
    after = replaced(before, {"id": "quick", **SECONDS}, RULE, time_zone=ZONE).schedule
    assert anchors(after) == {"quick": old["t0"], "t2": old["t2"]}
    after = replaced(before, SECONDS, {"rrule": "FREQ=DAILY;INTERVAL=3;COUNT=8"}, time_zone=ZONE).schedule
    assert [trigger.id for trigger in after.triggers] == ["t0", "t1"]
    assert after.triggers[1].anchor_time.ToDatetime(UTC) == LATER.replace(microsecond=0) + timedelta(days=3)


def test_equal_triggers_are_kept_one_by_one() -> None:
    before = stored(SECONDS, SECONDS, time_zone=ZONE)
    assert replaced(before, SECONDS, SECONDS, time_zone=ZONE).schedule == before
    after = replaced(before, SECONDS, SECONDS, SECONDS, time_zone=ZONE).schedule
    assert [anchors(after)[name] for name in ("t0", "t1", "t2")] == [NOW, NOW, LATER.replace(microsecond=0)]


def test_a_rule_that_was_read_and_changed_begins_anew() -> None:
    """The DTSTART in it is the server's, which belonged to the old rule. One that the caller wrote stays."""
    before = stored(RULE, time_zone=ZONE)
    text = before.triggers[0].rrule.replace("COUNT=9", "COUNT=2")
    after = replaced(before, {"rrule": text}, time_zone=ZONE).schedule
    assert len(take(compiled(after), LATER, 5)) == 2
    text = "DTSTART:20260501T130000\nRRULE:FREQ=DAILY;COUNT=9"
    before = stored({"rrule": text}, time_zone=ZONE)
    after = replaced(before, {"rrule": text.replace("9", "8")}, time_zone=ZONE).schedule
    assert (after.triggers[0].rrule, anchors(after)) == (text.replace("9", "8"), {})


def test_the_start_of_the_window_and_the_anchors_of_intervals() -> None:
    """An interval counts from start_time; without it, from where it counted before."""
    start = {"start_time": "2026-05-01T00:00:03Z"}
    before = stored(SECONDS, **start)
    assert not anchors(before)
    after = replaced(before, SECONDS).schedule
    assert anchors(after) == {"t0": datetime(2026, 5, 1, 0, 0, 3, tzinfo=UTC)}
    assert not anchors(replaced(after, SECONDS, **start).schedule)
    future = stored(SECONDS, start_time="2027-01-01T00:00:00Z")
    assert anchors(replaced(future, SECONDS).schedule) == {"t0": LATER.replace(microsecond=0)}


def test_an_unchanged_schedule_that_has_ended_is_accepted() -> None:
    """Its times are past, its end is past, or only excluded times are left."""
    cases: list[tuple[list[dict[str, Any]], dict[str, Any]]] = [
        ([{"once": "2026-05-02T00:00:00Z"}], {}),
        ([DAILY], {"time_zone": "UTC", "end_time": "2026-05-03T00:00:00Z"}),
        ([{"rrule": "FREQ=DAILY;COUNT=2"}], {"time_zone": "UTC"}),
        (
            [DAILY],
            {"time_zone": "UTC", "end_time": "2026-05-06T00:00:00Z", "exclusions": [{"date": "2026-05-05"}]},
        ),
    ]
    for triggers, fields in cases:
        before = stored(*triggers, **fields)
        after = replaced(before, *triggers, **fields)
        assert after.schedule == before
        assert any("it has ended" in warning for warning in after.warnings)


def test_an_unchanged_schedule_with_a_long_pause_ahead_is_accepted() -> None:
    """Its next time is too far behind excluded days to be searched; that was accepted before."""
    end = "20280101T000000Z"
    fields = {"time_zone": "UTC", "exclusions": [{"rrule": f"DTSTART:20260504T000000Z\nRRULE:FREQ=DAILY;UNTIL={end}"}]}
    before = stored(DAILY, **fields)
    assert replaced_at(NOW + timedelta(days=2), before, DAILY, **fields).schedule == before
    assert replaced(before, DAILY, **fields).schedule == before


COUNTED: list[tuple[str, dict[str, Any]]] = [
    ("FREQ=DAILY", {}),
    ("FREQ=DAILY;BYHOUR=9;BYMINUTE=30;BYSECOND=0", {}),
    ("FREQ=DAILY;BYHOUR=10;BYMINUTE=0;BYSECOND=0", {}),
    ("FREQ=DAILY;INTERVAL=3;BYHOUR=1,23", {}),
    ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE,FR", {}),
    ("FREQ=WEEKLY;WKST=SU;BYDAY=SU", {}),
    ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", {}),
    ("FREQ=MONTHLY;BYMONTHDAY=31", {}),
    ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", {}),
    ("FREQ=YEARLY;BYWEEKNO=20", {}),
    ("FREQ=HOURLY", {}),
    ("FREQ=HOURLY;INTERVAL=5;BYMINUTE=15,45", {}),
    ("FREQ=MINUTELY;INTERVAL=7;BYDAY=SA", {}),
    ("FREQ=SECONDLY;INTERVAL=11", {}),
    ("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", {"dst": {"gap": "RUN_AFTER"}}),
    ("FREQ=DAILY", {"start_time": "2026-09-01T00:00:00Z"}),
    ("FREQ=HOURLY;INTERVAL=7", {"start_time": "2026-09-01T00:00:00Z"}),
]


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("fraction", [0, 400])
@pytest.mark.parametrize(("rule", "fields"), COUNTED)
def test_a_count_gives_that_many_runs(rule: str, fields: dict[str, Any], fraction: int, count: int) -> None:
    """Without DTSTART, they count from the first instant after the creation, also if that is an instant itself."""
    created = NOW + timedelta(milliseconds=fraction)
    found = check({"rrule": f"{rule};COUNT={count}"}, now=created, time_zone="America/New_York", **fields)
    assert not found.violations
    endless = check({"rrule": rule}, now=created, time_zone="America/New_York", **fields).schedule
    times = [instant.time for instant in take(compiled(found.schedule), created, 9)]
    assert times == [instant.time for instant in take(compiled(endless), created, count)]
    assert len(times) == count


AROUND = list(
    itertools.product(
        ["FREQ=DAILY", "FREQ=HOURLY", "FREQ=MINUTELY;INTERVAL=28;BYHOUR=1,2", "FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=15,45"],
        [
            "2026-03-06T07:30:00Z",
            "2026-03-08T06:30:00Z",
            "2026-10-31T05:30:00Z",
            "2026-11-01T05:45:00Z",
            "2026-11-01T06:30:00Z",
        ],
        ["FIRST", "LAST", "BOTH"],
        ["RUN_AFTER", "SHIFT", "SKIP"],
    )
)


# 4 divides no number of values but that of the rules: the sample has every pair of the others.
@pytest.mark.parametrize(("rule", "created", "overlap", "gap"), AROUND[:: 1 if FULL else 4])
def test_a_count_gives_that_many_runs_around_a_clock_change(rule: str, created: str, overlap: str, gap: str) -> None:
    """Clocks skip 02:30 on 8 March and repeat 01:30 on 1 November: what is skipped does not count, what is run does."""
    now = datetime.fromisoformat(created)
    fields: dict[str, Any] = {"time_zone": "America/New_York", "dst": {"gap": gap, "overlap": overlap}}
    counted = compiled(check({"rrule": f"{rule};COUNT=4"}, now=now, **fields).schedule)
    endless = compiled(check({"rrule": rule}, now=now, **fields).schedule)
    assert [found.time for found in take(counted, now, 9)] == [found.time for found in take(endless, now, 4)]


def test_a_large_count_counts_nominal_times() -> None:
    """Computing thousands of instants would be too costly."""
    plan = compiled(check({"rrule": "FREQ=DAILY;COUNT=9999"}, time_zone="America/New_York").schedule)
    last = plan.next(datetime(2053, 9, 15, tzinfo=UTC))[0]
    assert last is not None
    assert last.time.date() == (NOW + timedelta(days=9999)).date()
    assert plan.next(last.time)[0] is None


def test_excluded_times_are_part_of_a_count() -> None:
    """As EXDATE in RFC 5545; max_occurrences does not count them."""
    excluded: dict[str, Any] = {"time_zone": "UTC", "exclusions": [{"date": "2026-05-03"}]}
    cases: list[tuple[dict[str, Any], dict[str, Any], int]] = [
        ({"rrule": "FREQ=DAILY;COUNT=3"}, excluded, 2),
        ({"rrule": "RRULE:FREQ=DAILY;COUNT=3\nEXDATE:20260502T100000"}, {"time_zone": "UTC"}, 2),
        ({"rrule": "FREQ=DAILY"}, {**excluded, "max_occurrences": 3}, 3),
    ]
    for trigger, fields, number in cases:
        plan = compiled(stored(trigger, **fields))
        assert sum(not instant.excluded for instant in take(plan, NOW, 9)) == number


def test_an_until_before_the_first_time_is_refused() -> None:
    found = check({"rrule": "FREQ=DAILY;UNTIL=20260501T120000Z"}, time_zone="UTC")
    assert [violation.field for violation in found.violations] == ["triggers[0].rrule"]


CHRISTMAS = {"rrule": "FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=25"}


@pytest.mark.parametrize("name", ["Asia/Tokyo", "America/Los_Angeles", "Pacific/Auckland", "UTC"])
@pytest.mark.parametrize(
    "rule", ["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO;BYHOUR=9", "FREQ=MONTHLY;BYMONTHDAY=1;BYHOUR=0;BYMINUTE=0;BYSECOND=0"]
)
def test_a_new_zone_keeps_the_local_times_of_rules_and_exclusions(name: str, rule: str) -> None:
    """Also back again: nothing has moved."""
    fields: dict[str, Any] = {"exclusions": [CHRISTMAS, {"rrule": "FREQ=DAILY;INTERVAL=30"}]}
    before = stored({"rrule": rule}, time_zone=ZONE, **fields)
    after = replaced(before, {"rrule": rule}, time_zone=name, **fields)
    assert not [warning for warning in after.warnings if "zone" in warning]

    def local(schedule: Schedule) -> dict[datetime, bool]:
        plan = compiled(schedule)
        instants = take(plan, datetime(2026, 12, 1, tzinfo=UTC), 60)
        times = {found.time.astimezone(plan.zone).replace(tzinfo=None): found.excluded for found in instants}
        return {
            time: excluded for time, excluded in times.items() if (2026, 12, 5) <= time.timetuple()[:3] < (2027, 1, 25)
        }

    assert local(after.schedule) == local(before)
    assert all(excluded for time, excluded in local(after.schedule).items() if (time.month, time.day) == (12, 25))
    back = replaced(after.schedule, {"rrule": rule}, time_zone=ZONE, **fields)
    assert back.schedule == before


@pytest.mark.parametrize("start", ["DTSTART;TZID=Europe/Chisinau:20260502T090000", "DTSTART:20260502T060000Z"])
def test_a_new_zone_leaves_a_start_that_the_caller_wrote(start: str) -> None:
    """With its zone, which is named; stored again or back again, nothing changes."""
    rule, own = {"rrule": f"{start}\nRRULE:FREQ=DAILY"}, "UTC" if start.endswith("Z") else ZONE
    before = stored(rule, time_zone=own)
    after = replaced(before, rule, time_zone="Asia/Tokyo")
    assert (after.schedule.triggers[0].rrule, after.schedule.triggers[0].time_zone) == (rule["rrule"], own)
    assert f"triggers[0]: its DTSTART is in {own}, the schedule in Asia/Tokyo" in after.warnings
    assert [found.time for found in take(compiled(after.schedule), LATER, 9)] == [
        found.time for found in take(compiled(before), LATER, 9)
    ]
    assert replaced(after.schedule, rule, time_zone="Asia/Tokyo").schedule == after.schedule
    assert replaced(after.schedule, rule, time_zone=own).schedule == before


def test_dates_in_another_zone_are_named() -> None:
    """An EXDATE that stays in its zone no longer removes the time that it was written for."""
    text = "RRULE:FREQ=DAILY;BYHOUR=9;BYMINUTE=0\nEXDATE;TZID=Europe/Chisinau:20260601T090000,20260602T090000"
    before = stored({"rrule": text}, time_zone=ZONE)
    after = replaced(before, {"rrule": text}, time_zone="Asia/Tokyo")
    assert [warning for warning in after.warnings if "is in" in warning] == [
        "triggers[0]: its EXDATE is in Europe/Chisinau, the schedule in Asia/Tokyo"
    ]


def test_a_new_zone_takes_along_a_start_without_a_zone() -> None:
    rule = {"rrule": "DTSTART:20260502T090000\nRRULE:FREQ=DAILY"}
    after = replaced(stored(rule, time_zone=ZONE), rule, time_zone="Asia/Tokyo")
    assert [found.time.hour for found in take(compiled(after.schedule), LATER, 2)] == [0, 0]
    assert not after.schedule.triggers[0].time_zone


def test_a_new_zone_keeps_the_instants_of_elapsed_time() -> None:
    """Hours and minutes that pass, as with intervals."""
    triggers = [{"rrule": "FREQ=HOURLY;INTERVAL=7;COUNT=20"}, {"interval": "25000s"}]
    before = stored(*triggers, time_zone=ZONE)
    after = replaced(before, *triggers, time_zone="Asia/Kolkata").schedule
    assert anchors(after) == anchors(before)
    assert "TZID=Asia/Kolkata" in after.triggers[0].rrule
    times = [[found.time for found in take(compiled(plan), LATER, 30)] for plan in (before, after)]
    assert times[0] == times[1]


def test_a_new_zone_leaves_the_count_of_a_rule_where_it_is() -> None:
    rule = {"rrule": "FREQ=DAILY;BYHOUR=20;COUNT=5"}
    before = stored(rule, time_zone="UTC")
    passed = len(take(compiled(before), NOW, 9)) - len(take(compiled(before), LATER, 9))
    after = replaced(before, rule, time_zone="Europe/London").schedule
    assert passed == 3
    assert len(take(compiled(after), LATER, 9)) == 2


def test_a_limit_counts_across_changes() -> None:
    """What the old triggers have fired counts, however the schedule changes; not if all of them are replaced."""
    limit: dict[str, Any] = {"time_zone": "UTC", "max_occurrences": 5}
    before = stored(DAILY, **limit)  # 2, 3 and 4 May have passed

    def remaining(*triggers: dict[str, Any], was: Schedule = before, now: datetime = LATER, **fields: Any) -> int:
        after = replaced_at(now, was, *triggers, **{**limit, **fields}).schedule
        return len(take(compiled(after), now, 20))

    assert remaining(DAILY) == 2
    assert remaining(DAILY, {"cron": "30 * * * *"}) == 2
    assert remaining(DAILY, time_zone="Asia/Tokyo") == 2
    assert remaining(DAILY, exclusions=[{"date": "2026-05-03"}]) == 2
    assert remaining(DAILY, max_occurrences=7) == 4
    assert remaining({"cron": "0 8 * * *"}) == 5
    assert remaining(DAILY, was=stored(DAILY, time_zone="UTC")) == 5
    both = replaced(before, DAILY, SECONDS, **limit).schedule
    assert remaining(SECONDS, was=both, now=LATER + timedelta(seconds=9)) == 1
    ended = replaced(before, DAILY, **{**limit, "max_occurrences": 3})
    assert not take(compiled(ended.schedule), LATER, 5)
    assert any("it has ended" in warning for warning in ended.warnings)


def test_a_schedule_that_was_read_elsewhere_keeps_its_anchors() -> None:
    """A task may be created as it was read, and previewed with its own times; its zone may be another one."""
    before = stored(SECONDS, RULE, time_zone=ZONE, exclusions=[CHRISTMAS], max_occurrences=5)
    assert validate(before, LATER, stored=False).schedule == before
    moved = Schedule()
    moved.CopyFrom(before)
    moved.time_zone = "Asia/Tokyo"
    moved.max_occurrences = 0
    found = validate(moved, LATER, stored=False)
    assert not found.violations
    assert found.schedule.triggers[1].rrule == before.triggers[1].rrule.replace(ZONE, "Asia/Tokyo")
    moved.triggers[0].anchor_time.seconds = 10**12
    moved.triggers[1].anchor_time.seconds += 1
    found = validate(moved, LATER, stored=False)
    assert "triggers[0].anchor_time" in {violation.field for violation in found.violations}
