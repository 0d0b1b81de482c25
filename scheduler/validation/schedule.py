"""Checks a schedule and completes it: every problem at once, as data, with the repair where it is certain."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from ordinaut.internal.v1.violation_pb2 import Violation
from ordinaut.limits import FIRST_YEAR, LAST_YEAR
from ordinaut.names import RESOURCE_ID
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.schedule_pb2 import Schedule
from scheduler.schedules.schedule import CompiledSchedule
from scheduler.triggers.interval import MAX_INTERVAL, whole_second
from scheduler.triggers.localtime.zone import local_time
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.rrule.lines import parse_calendar_text, with_start
from scheduler.validation.fields import check_exclusions, check_fields, dst_of
from scheduler.validation.findings import Findings
from scheduler.validation.time_zone import ZoneChoice, choose_zone
from scheduler.validation.trigger import TriggerCheck
from scheduler.validation.warnings import advice

MAX_TRIGGERS = 100


class Checked(NamedTuple):
    """What was found; the schedule is completed when there are no violations."""

    violations: Sequence[Violation]
    schedule: Schedule
    warnings: Sequence[str]


def validate(schedule: Schedule, now: datetime, stored: bool, since: datetime | None = None) -> Checked:
    """Checks the schedule and writes in what it leaves open: trigger ids, zone, DTSTART, the anchor of intervals.

    Args:
        schedule: as the caller wrote it; not changed.
        now: aware; what an open DTSTART or anchor becomes, in whole seconds.
        stored: the schedule was accepted before; that its times have passed by now is no problem.
        since: the reference of "in the past"; default now.
    """
    found = Findings()
    if len(schedule.triggers) > MAX_TRIGGERS:
        message = f"{len(schedule.triggers)} triggers; at most {MAX_TRIGGERS}"
        found.add("triggers", ErrorReason.TOO_LARGE, message)
        return Checked(found.violations, schedule, ())
    since = since or now
    completed = Schedule()
    completed.CopyFrom(schedule)
    _check_window(completed, None if stored else since, found)
    check_fields(completed, found)
    _complete_ids(completed, found)
    choice = choose_zone(completed, found)
    _complete_rules(completed, choice, now)
    _complete_start(completed, now, found)
    check = TriggerCheck(found, choice.zone, None if stored else since, dst_of(completed))
    for index, trigger in enumerate(completed.triggers):
        check(trigger, f"triggers[{index}]")
    check_exclusions(completed, choice.zone, found)
    if found.violations:
        return Checked(found.violations, schedule, ())
    _check_instants(completed, None if stored else since, found)
    warnings = () if found.violations else advice(schedule, completed, since)
    return Checked(found.violations, completed, warnings)


def compiled(schedule: Schedule) -> CompiledSchedule:
    """The compiled form of a completed schedule."""
    return CompiledSchedule.compile(MessageToDict(schedule, preserving_proto_field_name=True))


def _check_window(schedule: Schedule, since: datetime | None, found: Findings) -> None:
    readable = [
        _is_readable(schedule, field, found) for field in ("start_time", "end_time") if schedule.HasField(field)
    ]
    if not all(readable) or not schedule.HasField("end_time"):
        return
    end = schedule.end_time.ToDatetime(UTC)
    if schedule.HasField("start_time") and schedule.start_time.ToDatetime(UTC) >= end:
        found.add("end_time", ErrorReason.FIELD_INVALID, "end_time lies after start_time")
    elif since is not None and end <= since:
        found.add("end_time", ErrorReason.FIELD_INVALID, "end_time lies in the past")


def _is_readable(schedule: Schedule, field: str, found: Findings) -> bool:
    moment: Timestamp = getattr(schedule, field)
    try:
        year = moment.ToDatetime(UTC).year
    except (ValueError, OverflowError):
        year = 0
    if FIRST_YEAR <= year <= LAST_YEAR:
        return True
    message = f"{field} is an instant in the years {FIRST_YEAR} to {LAST_YEAR}"
    found.add(field, ErrorReason.FIELD_INVALID, message)
    return False


def _complete_ids(schedule: Schedule, found: Findings) -> None:
    """Gives each unnamed trigger its place as its id, or the next free one."""
    taken = {trigger.id for trigger in schedule.triggers}
    seen: set[str] = set()
    for index, trigger in enumerate(schedule.triggers):
        if not trigger.id:
            number = index
            while f"t{number}" in taken:
                number += 1
            trigger.id = f"t{number}"
            taken.add(trigger.id)
        elif not RESOURCE_ID.fullmatch(trigger.id):
            message = f"a trigger's id matches {RESOURCE_ID.pattern}"
            found.add(f"triggers[{index}].id", ErrorReason.NAME_INVALID, message)
        elif trigger.id in seen:
            found.add(f"triggers[{index}].id", ErrorReason.FIELD_INVALID, f'the id "{trigger.id}" stands twice')
        seen.add(trigger.id)


def _complete_rules(schedule: Schedule, choice: ZoneChoice, now: datetime) -> None:
    """Writes in the zone and the start of the rules, which must never move again."""
    schedule.time_zone = choice.name
    start = local_time(now.replace(microsecond=0), choice.zone).replace(fold=0)
    for trigger in schedule.triggers:
        if trigger.WhichOneof("kind") == "rrule" and _lacks_start(trigger.rrule):
            trigger.rrule = with_start(trigger.rrule, start, choice.zone)
    for exclusion in schedule.exclusions:
        if exclusion.WhichOneof("kind") == "rrule" and _lacks_start(exclusion.rrule):
            exclusion.rrule = with_start(exclusion.rrule, start, choice.zone)


def _complete_start(schedule: Schedule, now: datetime, found: Findings) -> None:
    """Writes in where intervals and max_occurrences count from: the creation, so that only what can fire counts."""
    lengths = {trigger.interval.seconds for trigger in schedule.triggers if trigger.WhichOneof("kind") == "interval"}
    if schedule.HasField("start_time") or not (lengths or schedule.max_occurrences):
        return
    if not schedule.max_occurrences:
        schedule.start_time.FromDatetime(now.replace(microsecond=0))
    elif not lengths:
        schedule.start_time.FromDatetime(whole_second(now))
    elif len(lengths) == 1 and all(trigger.WhichOneof("kind") == "interval" for trigger in schedule.triggers):
        length = min(max(lengths.pop(), 0), MAX_INTERVAL // timedelta(seconds=1))
        schedule.start_time.FromDatetime(now.replace(microsecond=0) + timedelta(seconds=length))
    else:
        message = "say from when on max_occurrences counts: an interval has company, so it is not certain"
        found.add("start_time", ErrorReason.FIELD_REQUIRED, message)


def _lacks_start(text: str) -> bool:
    try:
        return parse_calendar_text(text).start is None
    except ScheduleError:
        return False  # the check of the trigger itself reports it


def _check_instants(schedule: Schedule, since: datetime | None, found: Findings) -> None:
    """Each trigger has instants; the window and the exclusions must leave some of them."""
    whole = compiled(schedule)
    try:
        first = whole.next_open(None)[0]
        if first and since and whole.next(since)[0] and not whole.next_open(since)[0]:
            first = None
    except ScheduleError as error:
        found.take("triggers", error)
        return
    if first is None and whole.has_time_triggers and not whole.event_triggers:
        message = "no time of the triggers lies between start_time and end_time outside of the exclusions"
        found.add("triggers", ErrorReason.SCHEDULE_NEVER_FIRES, message)
