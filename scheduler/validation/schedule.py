"""Checks and completes a schedule: all violations at once, as data, with a repair where it is certain."""

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
from scheduler.validation.warnings import warnings_of

MAX_TRIGGERS = 100


class Checked(NamedTuple):
    """The result of a check; without violations the schedule is completed."""

    violations: Sequence[Violation]
    schedule: Schedule
    warnings: Sequence[str]


def validate(schedule: Schedule, now: datetime, stored: bool, since: datetime | None = None) -> Checked:
    """Checks the schedule and adds what is missing: trigger ids, zone, DTSTART, the anchor of intervals.

    Args:
        schedule: the caller's schedule; not changed.
        now: aware; the default of DTSTART and anchor, in whole seconds.
        stored: the schedule was accepted before, so its times may have passed.
        since: times up to this one are in the past; default now.
    """
    findings = Findings()
    if len(schedule.triggers) > MAX_TRIGGERS:
        message = f"at most {MAX_TRIGGERS} triggers are allowed (got {len(schedule.triggers)})"
        findings.add("triggers", ErrorReason.TOO_LARGE, message)
        return Checked(findings.violations, schedule, ())
    since = since or now
    completed = Schedule()
    completed.CopyFrom(schedule)
    _check_window(completed, None if stored else since, findings)
    check_fields(completed, findings)
    _complete_ids(completed, findings)
    choice = choose_zone(completed, findings, now)
    _complete_rules(completed, choice, now)
    _complete_start(completed, now, findings)
    check = TriggerCheck(findings, choice.zone, None if stored else since, dst_of(completed), schedule, now, stored)
    for index, trigger in enumerate(completed.triggers):
        check(trigger, f"triggers[{index}]")
    check_exclusions(completed, choice.zone, findings)
    if findings.violations:
        return Checked(findings.violations, schedule, ())
    _check_instants(completed, None if stored else since, findings)
    warnings = () if findings.violations else warnings_of(schedule, completed, since)
    return Checked(findings.violations, completed, warnings)


def compiled(schedule: Schedule) -> CompiledSchedule:
    """The compiled form of a completed schedule."""
    return CompiledSchedule.compile(MessageToDict(schedule, preserving_proto_field_name=True))


def _check_window(schedule: Schedule, since: datetime | None, findings: Findings) -> None:
    readable = [
        _is_readable(schedule, field, findings) for field in ("start_time", "end_time") if schedule.HasField(field)
    ]
    if not all(readable) or not schedule.HasField("end_time"):
        return
    end = schedule.end_time.ToDatetime(UTC)
    if schedule.HasField("start_time") and schedule.start_time.ToDatetime(UTC) >= end:
        findings.add("end_time", ErrorReason.FIELD_INVALID, "end_time must be after start_time")
    elif since is not None and end <= since:
        findings.add(
            "end_time",
            ErrorReason.FIELD_INVALID,
            f"end_time must be in the future (it is {since.isoformat(timespec='seconds')})",
        )


def _is_readable(schedule: Schedule, field: str, findings: Findings) -> bool:
    stamp: Timestamp = getattr(schedule, field)
    try:
        year = stamp.ToDatetime(UTC).year
    except (ValueError, OverflowError):
        year = 0
    if FIRST_YEAR <= year <= LAST_YEAR:
        return True
    message = f"{field} must be in the years {FIRST_YEAR} to {LAST_YEAR}"
    findings.add(field, ErrorReason.FIELD_INVALID, message)
    return False


def _complete_ids(schedule: Schedule, findings: Findings) -> None:
    """Gives each trigger without an id its index as id, or the next free number."""
    ids = {trigger.id for trigger in schedule.triggers}
    checked: set[str] = set()
    for index, trigger in enumerate(schedule.triggers):
        if not trigger.id:
            number = index
            while f"t{number}" in ids:
                number += 1
            trigger.id = f"t{number}"
            ids.add(trigger.id)
        elif not RESOURCE_ID.fullmatch(trigger.id):
            message = f'a trigger id must match {RESOURCE_ID.pattern} (got "{trigger.id[:64]}")'
            findings.add(f"triggers[{index}].id", ErrorReason.NAME_INVALID, message)
        elif trigger.id in checked:
            findings.add(
                f"triggers[{index}].id", ErrorReason.FIELD_INVALID, f'the trigger id "{trigger.id}" is used twice'
            )
        checked.add(trigger.id)


def _complete_rules(schedule: Schedule, choice: ZoneChoice, now: datetime) -> None:
    """Adds the zone and the DTSTART of the rules, which must not change afterwards."""
    schedule.time_zone = choice.name
    start = local_time(now.replace(microsecond=0), choice.zone).replace(fold=0)
    for trigger in schedule.triggers:
        if trigger.WhichOneof("kind") == "rrule" and _lacks_start(trigger.rrule):
            trigger.rrule = with_start(trigger.rrule, start, choice.zone)
    for exclusion in schedule.exclusions:
        if exclusion.WhichOneof("kind") == "rrule" and _lacks_start(exclusion.rrule):
            exclusion.rrule = with_start(exclusion.rrule, start, choice.zone)


def _complete_start(schedule: Schedule, now: datetime, findings: Findings) -> None:
    """Adds the start_time that intervals and max_occurrences count from, so that only future instants count."""
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
        message = "start_time is required with max_occurrences when an interval is combined with other triggers"
        findings.add("start_time", ErrorReason.FIELD_REQUIRED, message)


def _lacks_start(text: str) -> bool:
    try:
        return parse_calendar_text(text).start is None
    except ScheduleError:
        return False  # the check of the trigger itself reports it


def _check_instants(schedule: Schedule, since: datetime | None, findings: Findings) -> None:
    """Checks that the window and the exclusions leave some of the triggers' instants."""
    whole = compiled(schedule)
    try:
        first = whole.next_open(None)[0]
        if first and since and whole.next(since)[0] and not whole.next_open(since)[0]:
            first = None
    except ScheduleError as error:
        findings.add_error("triggers", error)
        return
    if first is None and whole.has_time_triggers and not whole.event_triggers:
        message = "no time of the triggers is between start_time and end_time and outside of the exclusions"
        findings.add("triggers", ErrorReason.SCHEDULE_NEVER_FIRES, message)
