"""Checks and completes a schedule: all violations at once, as data, with a repair where it is certain."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import MAXYEAR, UTC, datetime
from typing import Literal, NamedTuple

from google.protobuf.json_format import MessageToDict

from ordinaut.internal.v1.violation_pb2 import Violation
from ordinaut.limits import FIRST_YEAR, LAST_YEAR
from ordinaut.names import RESOURCE_ID
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.schedule_pb2 import Schedule
from scheduler.schedules.schedule import CompiledSchedule
from scheduler.triggers.problem import ScheduleError
from scheduler.validation.anchors import attach, check_anchors, detach, is_readable
from scheduler.validation.fields import check_exclusions, check_fields, dst_of
from scheduler.validation.findings import Findings
from scheduler.validation.kept_parts import KeptParts, keep
from scheduler.validation.occurrence_count import complete_count
from scheduler.validation.time_zone import ZoneChoice, choose_zone
from scheduler.validation.trigger import TriggerCheck
from scheduler.validation.warnings import warnings_of

MAX_TRIGGERS = 100
# An end after the last planned year ends nothing.
_WINDOW: Mapping[Literal["start_time", "end_time"], int] = {"start_time": LAST_YEAR, "end_time": MAXYEAR}


class Checked(NamedTuple):
    """The result of a check; without violations the schedule is completed."""

    violations: Sequence[Violation]
    schedule: Schedule
    warnings: Sequence[str]


def validate(
    schedule: Schedule, now: datetime, stored: bool, since: datetime | None = None, before: Schedule | None = None
) -> Checked:
    """Checks the schedule and adds what is missing: trigger ids, zone, and the times that its parts count from.

    Args:
        schedule: the caller's schedule; not changed.
        now: aware; the default of what rules and intervals count from.
        stored: the schedule was accepted before, so its times may have passed.
        since: times up to this one are in the past; default now.
        before: the stored schedule that this one replaces; equal parts keep their anchors, ids and spelling.
    """
    findings = Findings()
    if len(schedule.triggers) > MAX_TRIGGERS:
        message = f"at most {MAX_TRIGGERS} triggers are allowed (got {len(schedule.triggers)})"
        findings.add("triggers", ErrorReason.TOO_LARGE, message)
        return Checked(findings.violations, schedule, ())
    since = since or now
    completed = Schedule()
    completed.CopyFrom(schedule)
    _drop_empty(completed)
    parts = keep(completed, before, now)
    _check_window(completed, None if stored or parts.ends_as_before(completed) else since, findings)
    check_fields(completed, findings)
    choice = _complete(completed, parts, now, findings)
    check = TriggerCheck(findings, choice.of, None if stored else since, dst_of(completed), schedule, now, stored)
    check_kept = replace(check, since=None, stored=True)
    for index, trigger in enumerate(completed.triggers):
        accepted = index in parts.triggers and (trigger.WhichOneof("kind") != "once" or parts.was_past(index, since))
        (check_kept if accepted else check)(trigger, f"triggers[{index}]")
    check_exclusions(completed, choice.zone, findings)
    if findings.violations:
        return Checked(findings.violations, schedule, ())
    _check_instants(completed, None if stored or completed == before else since, findings)
    warnings = [] if findings.violations else [*warnings_of(completed, since), *parts.warnings(completed)]
    return Checked(findings.violations, completed, warnings)


def _drop_empty(schedule: Schedule) -> None:
    """Removes messages without a value, which mean the same as unset ones."""
    for field in ("dst", "catch_up", "jitter"):
        if not getattr(schedule, field).ByteSize():
            schedule.ClearField(field)


def _complete(schedule: Schedule, parts: KeptParts, now: datetime, findings: Findings) -> ZoneChoice:
    """Adds ids, zone and anchors."""
    _complete_ids(schedule, findings)
    check_anchors(schedule, findings)
    detached = detach(schedule)
    choice = choose_zone(schedule, findings, now)
    schedule.time_zone = choice.name
    attach(schedule, detached, choice.of, now)
    complete_count(schedule, parts, now, findings)
    return choice


def compiled(schedule: Schedule) -> CompiledSchedule:
    """The compiled form of a completed schedule."""
    return CompiledSchedule.compile(MessageToDict(schedule, preserving_proto_field_name=True))


def _check_window(schedule: Schedule, since: datetime | None, findings: Findings) -> None:
    readable = [_is_readable(schedule, field, findings) for field in _WINDOW if schedule.HasField(field)]
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


def _is_readable(schedule: Schedule, field: Literal["start_time", "end_time"], findings: Findings) -> bool:
    if is_readable(getattr(schedule, field), _WINDOW[field]):
        return True
    message = f"{field} must be in the years {FIRST_YEAR} to {_WINDOW[field]}"
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
