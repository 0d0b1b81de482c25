"""What validation says and writes in: paths, reasons, repairs, completed schedules, warnings."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.schedule_pb2 import Schedule
from scheduler.validation.schedule import validate
from tests.unit.time.writing import NOW, accepted, check, problems, schedule_of, take

IN_TOKYO = "DTSTART;TZID=Asia/Tokyo:20260601T090000\nRRULE:FREQ=DAILY"


def repaired(schedule: Schedule) -> Schedule:
    """The schedule after every repair that validation offers."""
    document = MessageToDict(schedule, preserving_proto_field_name=True)
    for violation in validate(schedule, NOW, stored=False).violations:
        assert violation.fix.explanation
        assert violation.fix.field == violation.field
        for operation in violation.fix.operations:
            assert operation["op"] == "add"
            *parents, last = str(operation["path"]).strip("/").split("/")
            place: Any = document
            for key in parents:
                place = place[int(key)] if key.isdigit() else place[key]
            place[last] = operation["value"]
    return ParseDict(document, Schedule())


@pytest.mark.parametrize(
    ("triggers", "zone", "becomes"),
    [
        ([{"cron": "0 9 * * *"}], "Chisinau", "Europe/Chisinau"),
        ([{"cron": "0 9 * * *"}], "utc", "UTC"),
        ([{"cron": "0 9 * * *"}], "Europe/Bucuresti", "Europe/Bucharest"),
        ([{"cron": "0 9 * * *"}], "america/new york", "America/New_York"),
        ([{"cron": "0 9 * * *"}, {"rrule": IN_TOKYO}], "", "Asia/Tokyo"),
        ([{"rrule": IN_TOKYO}], "UTC", "Asia/Tokyo"),
    ],
)  # fmt: skip
def test_a_zone_is_repaired(triggers: list[dict[str, Any]], zone: str, becomes: str) -> None:
    """The nearest zone, the city's zone, or the one that the rule itself names."""
    better = repaired(schedule_of(*triggers, time_zone=zone))
    assert better.time_zone == becomes
    assert not validate(better, NOW, stored=False).violations


@pytest.mark.parametrize(
    ("text", "becomes"),
    [("0/15 * * * *", "*/15 * * * *"), ("0 0 9 * * ?", "0 9 * * *"), ("0 9 ? * 1", "0 9 * * 1")],
)
def test_a_cron_of_another_dialect_is_repaired(text: str, becomes: str) -> None:
    """Quartz's seconds, `?` and open steps become what they mean here."""
    better = repaired(schedule_of({"cron": text}, time_zone="UTC"))
    assert better.triggers[0].cron == becomes
    assert not validate(better, NOW, stored=False).violations


def test_an_expression_is_repaired() -> None:
    """The repair that the expression's own check knows is handed on."""
    schedule = schedule_of({"event": {"topic": "mail.*", "when": 'data.x == "a"'}})
    found = validate(schedule, NOW, stored=False).violations
    assert [violation.field for violation in found] == ["triggers[0].event.when"]
    assert not validate(repaired(schedule), NOW, stored=False).violations


@pytest.mark.parametrize(
    ("when", "becomes"),
    [
        ("event.data.n == 5", "data.n == 5"),
        ("event.data.n == 5 && event.data.k == 'x'", "data.n == 5 && data.k == 'x'"),
        ("n == 5", "data.n == 5"),
        ("dta.n == 5", "data.n == 5"),
        ("topik == 'x'", "topic == 'x'"),
        ("!(urgent)", "!(data.urgent)"),
        ("length(items[?price > 5]) > `0`", "length(data.items[?price > 5]) > `0`"),
        ("data.n == '${params.x}'", None),
        ("params.x == data.n", None),
        ("now > publish_time", None),
        ("steps.a == 1", None),
        ("topic.name == 'x'", None),
        ("event == 'x'", None),
    ],
)
def test_a_condition_that_would_never_hold_is_refused(when: str, becomes: str | None) -> None:
    """The root names are the fields of the event."""
    schedule = schedule_of({"event": {"topic": "mail.*", "when": when}})
    [found, *_] = validate(schedule, NOW, stored=False).violations
    assert found.field == "triggers[0].event.when"
    if becomes is not None:
        assert repaired(schedule).triggers[0].event.when == becomes
    elif "${" not in when:
        assert not found.HasField("fix")


def test_conditions_may_read_every_field_of_an_event() -> None:
    """Also inside filters, where a name may belong to the element."""
    names = ["name", "position", "topic", "source", "subject", "id", "data", "publish_time", "publisher", "depth"]
    condition = " || ".join([*(f"{name} == null" for name in names), "data.items[?price > depth]"])
    assert not problems({"event": {"topic": "mail.*", "when": condition}})


def test_every_problem_at_once() -> None:
    """One answer holds them all, each at its own path."""
    found = problems(
        {"id": "a", "cron": "61 * * * *"},
        {"id": "a", "rrule": "FREQ=NEVER"},
        {"id": "No Id", "interval": "0s"},
        {"once": "2026-04-30T00:00:00Z"},
        {"event": {"topic": "a b", "when": "a.["}},
        {},
        time_zone="Mars/Base",
        start_time="2026-06-01T00:00:00Z",
        end_time="2026-06-01T00:00:00Z",
        catch_up={"window": "-1s"},
    )
    assert found == {
        "end_time": "FIELD_INVALID",
        "catch_up.window": "FIELD_INVALID",
        "triggers[1].id": "FIELD_INVALID",
        "triggers[2].id": "NAME_INVALID",
        "time_zone": "UNKNOWN_TIMEZONE",
        "triggers[0].cron": "INVALID_CRON",
        "triggers[1].rrule": "INVALID_RRULE",
        "triggers[2].interval": "INVALID_INTERVAL",
        "triggers[3].once": "ONCE_IN_PAST",
        "triggers[4].event.topic": "INVALID_TOPIC",
        "triggers[4].event.when": "TEMPLATE_SYNTAX",
        "triggers[5]": "FIELD_REQUIRED",
    }


@pytest.mark.parametrize("trigger", [{"cron": "0 9 * * *"}, {"rrule": "FREQ=DAILY"}, {"once": "2026-07-01T12:00:00"}])
def test_local_times_need_a_zone(trigger: dict[str, Any]) -> None:
    """Without a zone a local time means nothing."""
    assert problems(trigger) == {"time_zone": "TIMEZONE_REQUIRED"}


def test_times_that_name_their_offset_need_no_zone() -> None:
    """A Z or an offset is enough."""
    assert not problems({"once": "2026-07-01T12:00:00+02:00"}, {"interval": "60s"}, {"event": {"topic": "a.>"}})
    found = check({"rrule": "DTSTART:20260601T090000Z\nRRULE:FREQ=DAILY"})
    assert not found.violations
    assert found.schedule.time_zone == "UTC"


@pytest.mark.parametrize("start", ["DTSTART:20260601T090000Z", "DTSTART;TZID=Asia/Tokyo:20260601T090000"])
def test_a_rule_in_another_zone_is_a_conflict(start: str) -> None:
    """One schedule has one zone."""
    found = problems({"rrule": f"{start}\nRRULE:FREQ=DAILY"}, {"cron": "0 0 * * *"}, time_zone="Europe/Chisinau")
    assert found == {"triggers[0].rrule": "TIMEZONE_CONFLICT"}


def test_two_names_of_one_zone_are_no_conflict() -> None:
    """Links of the zone data are equal to what they link to."""
    text = "DTSTART;TZID=Asia/Calcutta:20260601T090000\nRRULE:FREQ=DAILY"
    assert not problems({"rrule": text}, time_zone="Asia/Kolkata")


def test_anchors_are_added_once() -> None:
    """What is open is fixed at creation, and a second validation changes nothing."""
    first = check({"rrule": "FREQ=DAILY;COUNT=3"}, {"interval": "90s"}, time_zone="Europe/Chisinau")
    assert first.schedule.triggers[0].rrule == "DTSTART;TZID=Europe/Chisinau:20260502T130000\nRRULE:FREQ=DAILY;COUNT=3"
    anchors = [trigger.anchor_time.ToDatetime(UTC) for trigger in first.schedule.triggers]
    assert anchors == [NOW + timedelta(days=1), NOW]
    assert [trigger.id for trigger in first.schedule.triggers] == ["t0", "t1"]
    later = validate(first.schedule, datetime(2026, 8, 1, tzinfo=UTC), stored=True)
    assert later.schedule == first.schedule


def test_explicit_ids_are_not_assigned_again() -> None:
    """An id that a caller chose is never taken for another trigger."""
    found = check({"id": "t1", "interval": "60s"}, {"interval": "90s"})
    assert [trigger.id for trigger in found.schedule.triggers] == ["t1", "t2"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"start_time": "2026-06-02T00:00:00Z", "end_time": "2026-06-01T00:00:00Z"}, {"end_time": "FIELD_INVALID"}),
        ({"end_time": "2026-04-01T00:00:00Z"}, {"end_time": "FIELD_INVALID"}),
        ({"start_time": "9000-01-01T00:00:00Z"}, {"start_time": "FIELD_INVALID"}),
        (
            {"start_time": "2026-06-01T10:00:00Z", "end_time": "2026-06-01T11:00:00Z"},
            {"triggers": "SCHEDULE_NEVER_FIRES"},
        ),
    ],
)
def test_windows(fields: dict[str, str], reason: dict[str, str]) -> None:
    """A window that is empty, over, too far, or leaves no time is refused."""
    assert problems({"cron": "0 9 * * *"}, time_zone="UTC", **fields) == reason


def test_too_many_triggers() -> None:
    """A hundred triggers are enough for one task."""
    assert not problems(*[{"interval": "60s"}] * 100)
    assert problems(*[{"interval": "60s"}] * 101) == {"triggers": "TOO_LARGE"}


def test_a_stored_schedule_may_have_past_times() -> None:
    """What was accepted stays readable for ever."""
    schedule = schedule_of({"once": "2020-01-01T00:00:00Z"})
    assert [violation.reason for violation in validate(schedule, NOW, stored=False).violations] == [
        ErrorReason.ONCE_IN_PAST
    ]
    assert not validate(schedule, NOW, stored=True).violations


@pytest.mark.parametrize(
    ("trigger", "word"),
    [
        ({"cron": "0 0 13 * 5"}, "ORed"),
        ({"cron": "*/40 * * * *"}, "restarts at 0"),
        ({"cron": "*/90 * * * *"}, "only 0"),
        ({"cron": "0 0 31 * *"}, "day 31 skips 5"),
        ({"cron": "0 0 29 2 *"}, "leap"),
        ({"cron": "0 9 */2 * *"}, "day 31 is followed by day 1"),
        ({"cron": "0 9 1-31/2 * *"}, "day 31 is followed by day 1"),
        ({"cron": "0 9 29 * *"}, "leap"),
        ({"cron": "0 9 30 * *"}, "day 30 skips 1 "),
        ({"cron": "0 9 1,15,31 * *"}, "day 31 skips 5"),
        ({"cron": "0 9 29-31 * *"}, "leap"),
        ({"cron": "0 9 29,31 4,5 *"}, "day 31 skips 1 "),
        ({"cron": "0 9 1 */5 *"}, "restarts at 1"),
        ({"cron": "0 9 * * */2"}, "restarts at 0"),
        ({"cron": "0 9 1-5/10 * *"}, "only 1"),
        ({"cron": "0 9 */40 * *"}, "only 1"),
        ({"cron": "0 9-10/5 * * *"}, "only 9"),
        ({"cron": "0 9 1-7,*/1 * 1"}, "ORed"),
        ({"cron": "0 9 *,1-7 * 1"}, None),
        ({"cron": "0 9 */1 * 1"}, None),
        ({"rrule": "FREQ=DAILY;BYHOUR=9"}, "BYMINUTE"),
        ({"rrule": "DTSTART:20260601T090000Z\nRRULE:FREQ=WEEKLY;BYDAY=SU"}, "does not match"),
        ({"rrule": "DTSTART:20200601T090000Z\nRRULE:FREQ=DAILY;COUNT=2"}, "ended"),
        ({"rrule": "DTSTART:20260531T090000Z\nRRULE:FREQ=MONTHLY;BYMONTHDAY=31"}, "day 31 skips 5"),
        ({"rrule": "DTSTART:20260531T090000Z\nRRULE:FREQ=MONTHLY"}, "day 31 skips 5"),
        ({"rrule": "DTSTART:20240229T090000Z\nRRULE:FREQ=YEARLY"}, "leap"),
        ({"rrule": "DTSTART:20260501T090000Z\nRRULE:FREQ=MONTHLY;BYMONTHDAY=-31"}, "day 31 skips 5"),
        ({"rrule": "DTSTART:20260131T090000Z\nRRULE:FREQ=MONTHLY;INTERVAL=6"}, None),
        ({"rrule": "DTSTART:20260131T090000Z\nRRULE:FREQ=MONTHLY;INTERVAL=3"}, "skips 1 "),
        ({"rrule": "DTSTART:20261230T090000Z\nRRULE:FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=30"}, None),
        ({"rrule": "DTSTART:20260531T090000Z\nRRULE:FREQ=MONTHLY;BYMONTHDAY=31;SKIP=BACKWARD"}, None),
        ({"rrule": "DTSTART:20260531T090000Z\nRRULE:FREQ=MONTHLY;BYMONTHDAY=28,29,30,31;BYSETPOS=-1"}, None),
        ({"cron": "0 9 28-31 * *"}, None),
        ({"cron": "0 9 15-31 * *"}, None),
        ({"cron": "0 9 31 1,3,5 *"}, None),
        ({"cron": "0 9 1-31 * *"}, None),
        ({"once": "2026-10-25T03:30:00+02:00"}, None),
    ],
)
def test_warnings(trigger: dict[str, Any], word: str | None) -> None:
    """What is accepted and probably not meant is said, and nothing else."""
    found = check(trigger, time_zone="UTC")
    assert not found.violations
    assert [word in warning for warning in found.warnings if word] == ([True] if word else [])
    assert word or not found.warnings


@pytest.mark.parametrize(
    ("trigger", "zone", "word"),
    [
        ({"cron": "30 3 * * *"}, "Europe/Chisinau", "clocks show 03:30 twice: it runs at the first"),
        ({"cron": "*/30 3 * * *"}, "Europe/Chisinau", "clocks show 03:00 twice: it runs at both"),
        ({"rrule": "DTSTART:20260601T033000\nRRULE:FREQ=DAILY"}, "Europe/Chisinau", "clocks show 03:30 twice"),
        ({"once": "2026-10-25T03:30:00"}, "Europe/Chisinau", "clocks show 03:30 twice: it runs at the first"),
        ({"once": "2028-10-29T03:30:00"}, "Europe/Chisinau", "clocks show 03:30 twice: it runs at the first"),
        ({"once": "2028-03-26T03:30:00"}, "Europe/Bucharest", "clocks skip 03:30: it runs at 04:30"),
        ({"cron": "0 9 * * *"}, "EST", "EST is a fixed offset, 5 h behind UTC"),
        ({"cron": "0 9 * * *"}, "MST", "MST is a fixed offset, 7 h behind UTC"),
        ({"cron": "0 9 * * *"}, "Etc/GMT+2", "Etc/GMT+2 is 2 h behind UTC"),
        ({"cron": "0 9 * * *"}, "Etc/GMT-2", "Etc/GMT-2 is 2 h ahead of UTC"),
    ],
)
def test_warnings_about_zones_and_clock_changes(trigger: dict[str, Any], zone: str, word: str) -> None:
    """A local time that occurs twice or not at all, and names with a fixed offset."""
    found = check(trigger, time_zone=zone)
    assert not found.violations
    assert any(word in warning for warning in found.warnings), found.warnings


@pytest.mark.parametrize("trigger", [{"cron": "0 * * * *"}, {"cron": "*/15 * * * *"}, {"interval": "3600s"}])
def test_what_runs_in_each_hour_has_no_warning_about_clock_changes(trigger: dict[str, Any]) -> None:
    """An hour that occurs twice is two hours."""
    assert not check(trigger, time_zone="Europe/Chisinau").warnings


def test_a_plain_schedule_has_no_warning() -> None:
    """No noise where nothing is odd."""
    assert not check({"cron": "0 9 * * mon-fri"}, {"interval": "3600s"}, time_zone="Europe/Chisinau").warnings


def test_a_union_takes_the_first_trigger_at_one_instant() -> None:
    """Two triggers at one moment make one instant, with the first one's params."""
    plan = accepted(
        {"id": "night", "cron": "0 0 * * *", "params": {"mode": "full"}},
        {"id": "hourly", "cron": "0 */12 * * *", "params": {"mode": "quick"}},
        time_zone="UTC",
    )
    found = take(plan, NOW, 3)
    assert [(instant.trigger_id, instant.params) for instant in found] == [
        ("hourly", {"mode": "quick"}),
        ("night", {"mode": "full"}),
        ("hourly", {"mode": "quick"}),
    ]


def test_names_of_instants() -> None:
    """The key is local and marks the second pass; the public id is UTC."""
    plan = accepted({"cron": "*/30 1 * * *"}, time_zone="America/New_York")
    found = take(plan, datetime(2026, 11, 1, 5, 0, tzinfo=UTC), 4)
    assert [(instant.key_nominal, instant.occurrence_id) for instant in found] == [
        ("cron:20261101T013000", "20261101T053000Z"),
        ("cron:20261101T010000~2", "20261101T060000Z"),
        ("cron:20261101T013000~2", "20261101T063000Z"),
        ("cron:20261102T010000", "20261102T060000Z"),
    ]


def test_an_adjusted_instant_is_marked() -> None:
    """Where a clock change moved it, the nominal time stays what the rule says."""
    plan = accepted({"cron": "30 2 * * *"}, time_zone="America/New_York")
    instant = take(plan, datetime(2026, 3, 7, 12, tzinfo=UTC), 1)[0]
    assert instant.adjusted
    assert instant.nominal_local == "2026-03-08T02:30:00"
    assert instant.time == datetime(2026, 3, 8, 7, 0, tzinfo=UTC)


def test_event_triggers_are_listed() -> None:
    """The matcher finds its patterns here; such a schedule has no time of its own."""
    plan = accepted({"event": {"topic": "mail.*", "when": "data.urgent"}, "params": {"a": 1}})
    assert not plan.has_time_triggers
    assert plan.next(None) == (None, {})
    assert plan.event_triggers == [("t0", "mail.*", "data.urgent", {"a": 1})]
