"""A trigger may have its own time zone: what fires is the union of what each would fire in a schedule of its own."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.json_format import MessageToDict

from scheduler.description.sentence import sentence
from scheduler.firing.catch_up_policy import CatchUpPolicy
from scheduler.schedules.schedule import CompiledSchedule
from scheduler.simulation.scenario import Rules, Scenario, Span
from scheduler.simulation.simulation import Simulation
from scheduler.validation.schedule import validate
from tests.unit.time.writing import NOW, accepted, check, problems, schedule_of, take

TOKYO, BERLIN, YORK = "Asia/Tokyo", "Europe/Berlin", "America/New_York"
NINE = {"cron": "0 9 * * *"}


def times(plan: CompiledSchedule, number: int, after: datetime = NOW) -> list[datetime]:
    """The next instants."""
    return [instant.time for instant in take(plan, after, number)]


@pytest.mark.parametrize("own", [True, False])
def test_the_times_are_the_union(own: bool) -> None:
    """With a zone of the schedule for the others, and without one."""
    parts = [({**NINE}, TOKYO), ({"rrule": "DTSTART:20260601T023000\nRRULE:FREQ=DAILY"}, BERLIN), (NINE, YORK)]
    in_zones = [{**trigger, "time_zone": name} for trigger, name in parts]
    whole = accepted(*in_zones) if own else accepted(*in_zones[:2], NINE, time_zone=YORK)
    single = [time for trigger, name in parts for time in times(accepted(trigger, time_zone=name), 800)]
    assert times(whole, 1500) == sorted(set(single))[:1500]


def test_keys_of_equal_local_times_differ() -> None:
    """Nine o'clock in two zones is two occurrences; a zone that is the schedule's changes no key."""
    plan = accepted({**NINE, "time_zone": TOKYO}, {**NINE, "time_zone": BERLIN}, time_zone=BERLIN)
    found = take(plan, datetime(2026, 6, 1, tzinfo=UTC) - timedelta(hours=1), 2)
    assert [(each.key_nominal, each.nominal_local, each.kind) for each in found] == [
        ("cron@Asia/Tokyo:20260601T090000", "2026-06-01T09:00:00", "cron"),
        ("cron:20260601T090000", "2026-06-01T09:00:00", "cron"),
    ]


def test_an_excluded_day_is_a_day_of_the_triggers_zone() -> None:
    """Christmas begins in Tokyo while it is Christmas Eve in New York."""
    triggers = [{"cron": "0 */6 * * *", "time_zone": name} for name in (TOKYO, YORK)]
    for exclusion in ({"date": "2026-12-25"}, {"rrule": "FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=25"}):
        plan = accepted(*triggers, exclusions=[exclusion])
        since = datetime(2026, 12, 23, tzinfo=UTC)
        found = take(plan, since, 40)
        for instant in found:
            assert instant.excluded == (instant.time.astimezone(instant.where).strftime("%m%d") == "1225")
        opened = [since]
        while len(opened) <= 20:
            following, _ = plan.next_open(opened[-1])
            assert following is not None
            opened.append(following.time)
        assert opened[1:] == [each.time for each in found if not each.excluded][:20]


def test_at_one_instant_the_trigger_goes_first_whose_day_is_not_excluded() -> None:
    """18:00 in Berlin is 02:00 of the next day in Tokyo."""
    triggers = [{"cron": "0 2 * * *", "time_zone": TOKYO}, {"cron": "0 18 * * *", "time_zone": BERLIN}]
    plan = accepted(*triggers, exclusions=[{"date": "2026-12-25"}])
    found = take(plan, datetime(2026, 12, 23, 12, tzinfo=UTC), 3)
    assert [(each.trigger_id, each.excluded) for each in found] == [("t0", False), ("t1", False), ("t0", False)]


def test_the_window_and_the_number_of_occurrences_apply_to_all() -> None:
    """Also with excluded days."""
    plan = accepted(
        {**NINE, "time_zone": TOKYO}, {**NINE, "time_zone": BERLIN}, max_occurrences=3,
        start_time="2026-06-01T00:00:00Z", exclusions=[{"date": "2026-06-02"}],
    )  # fmt: skip
    assert [each.isoformat() for each in times(plan, 9) if not plan.next(each - timedelta(seconds=1))[0].excluded] == [  # type: ignore[union-attr]
        "2026-06-01T00:00:00+00:00", "2026-06-01T07:00:00+00:00", "2026-06-03T00:00:00+00:00",
    ]  # fmt: skip


def test_each_zone_has_its_clock_changes() -> None:
    """Warnings of both, and occurrences that are moved."""
    early = {"cron": "30 2 * * *"}
    found = check({**early, "time_zone": YORK}, {**early, "time_zone": BERLIN}, {**early, "time_zone": TOKYO})
    assert {warning[:13] for warning in found.warnings if "skip 02:30" in warning} == {"on 2027-03-14", "on 2027-03-28"}


@pytest.mark.parametrize(
    ("triggers", "zone", "english", "romanian"),
    [
        (
            [{**NINE, "time_zone": TOKYO}, NINE], BERLIN,
            "Runs every day at 09:00 in the time of Asia/Tokyo and every day at 09:00 in the time of Europe/Berlin.",
            "Rulează în fiecare zi la 09:00 după ora din Asia/Tokyo "
            "și în fiecare zi la 09:00 după ora din Europe/Berlin.",
        ),
        (
            [{**NINE, "time_zone": TOKYO}], BERLIN,
            "Runs every day at 09:00, in the time of Asia/Tokyo.",
            "Rulează în fiecare zi la 09:00, după ora din Asia/Tokyo.",
        ),
        (
            [{**NINE, "time_zone": TOKYO}, {"interval": "3600s"}], "",
            "Runs every day at 09:00 and every hour, in the time of Asia/Tokyo.", None,
        ),
    ],
)  # fmt: skip
def test_words(triggers: list[dict[str, Any]], zone: str, english: str, romanian: str | None) -> None:
    """Each local time with its zone, unless all share one."""
    found = check(*triggers, time_zone=zone)
    assert not found.violations
    assert sentence(found.schedule, NOW) == english
    if romanian:
        assert sentence(found.schedule, NOW, "ro") == romanian


@pytest.mark.parametrize(
    ("trigger", "field", "reason"),
    [
        ({**NINE, "time_zone": "Mars/Base"}, "triggers[0].time_zone", "UNKNOWN_TIMEZONE"),
        ({"interval": "60s", "time_zone": TOKYO}, "triggers[0].time_zone", "FIELD_INVALID"),
        ({"event": {"topic": "a.b"}, "time_zone": TOKYO}, "triggers[0].time_zone", "FIELD_INVALID"),
        (
            {"rrule": "DTSTART;TZID=Europe/Berlin:20260601T090000\nRRULE:FREQ=DAILY", "time_zone": TOKYO},
            "triggers[0].rrule", "TIMEZONE_CONFLICT",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(trigger: dict[str, Any], field: str, reason: str) -> None:
    """A zone that does not exist, that nothing uses, or that contradicts the rule."""
    assert problems(trigger, time_zone=BERLIN) == {field: reason}


def test_repairs_and_questions_of_a_triggers_zone() -> None:
    """They point into the trigger."""
    [violation] = check({**NINE, "time_zone": "Mumbai"}).violations
    assert MessageToDict(violation.fix.operations[0]) == {
        "op": "add", "path": "/triggers/0/time_zone", "value": "Asia/Kolkata",
    }  # fmt: skip
    [violation] = check({**NINE, "time_zone": "GMT+2"}).violations
    assert violation.questions[0].id == "triggers[0].time_zone:zone"
    assert MessageToDict(violation.questions[0].choices[0].patch[0])["path"] == "/triggers/0/time_zone"


def test_a_rule_in_another_zone_is_repaired_by_a_zone_of_its_trigger() -> None:
    """The rest of the schedule keeps its zone."""
    rule = {"rrule": "DTSTART;TZID=Asia/Tokyo:20260601T090000\nRRULE:FREQ=DAILY"}
    [violation] = check(NINE, rule, time_zone=BERLIN).violations
    assert MessageToDict(violation.fix.operations[0]) == {
        "op": "add", "path": "/triggers/1/time_zone", "value": TOKYO,
    }  # fmt: skip
    assert not problems(NINE, {**rule, "time_zone": TOKYO}, time_zone=BERLIN)


def test_anchors_are_in_the_triggers_zone_and_stay() -> None:
    """A second validation changes nothing; a new zone of the trigger keeps the local time."""
    rule = {"rrule": "FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0", "time_zone": TOKYO}
    first = check(rule, NINE, time_zone=BERLIN).schedule
    assert first.triggers[0].rrule.startswith("DTSTART;TZID=Asia/Tokyo:20260502T090000\n")
    later = NOW + timedelta(days=40)
    assert validate(first, later, stored=True).schedule == first
    again = schedule_of(rule, NINE, time_zone=BERLIN)
    assert validate(again, later, stored=False, before=first).schedule == first
    moved = schedule_of({**rule, "time_zone": YORK}, NINE, time_zone=BERLIN)
    found = validate(moved, later, stored=False, before=first).schedule
    assert found.triggers[0].rrule.startswith("DTSTART;TZID=America/New_York:20260502T090000\n")


def test_a_simulation_has_the_times_of_both_zones() -> None:
    """Both nine o'clocks run, and an excluded day is that of each zone."""
    document = {
        "triggers": [{**NINE, "id": "a", "time_zone": TOKYO}, {**NINE, "id": "b", "time_zone": BERLIN}],
        "exclusions": [{"date": "2026-06-02"}],
    }
    start = datetime(2026, 5, 31, 23, tzinfo=UTC)
    lived = Scenario(
        schedule=CompiledSchedule.compile(document), task=UUID(int=1), window=Span(start, start + timedelta(days=2)),
        catch_up=CatchUpPolicy.of(document), rules=Rules(), durations=[timedelta(seconds=10)],
    )  # fmt: skip
    found = [(entry.first.time.isoformat()[5:16], entry.outcome) for entry in Simulation(lived).entries()]
    assert found == [
        ("06-01T00:00", "ENQUEUED"), ("06-01T07:00", "ENQUEUED"),
        ("06-02T00:00", "EXCLUDED"), ("06-02T07:00", "EXCLUDED"),
    ]  # fmt: skip
