"""Adds to the error of a trigger's text what the text means in another dialect: a repair, or a question."""

from collections.abc import Iterable
from datetime import datetime

from google.protobuf.json_format import MessageToDict

from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.schedule_pb2 import Schedule, Trigger
from scheduler.dialects.times import started
from scheduler.dialects.translate import translate
from scheduler.dialects.translation import Certainty, Reading, TimeText
from scheduler.schedules.schedule import CompiledSchedule
from scheduler.triggers.localtime.zone import same_zone, zone, zone_names
from scheduler.triggers.once import parse_once
from scheduler.triggers.problem import Choice, Edit, Question, ScheduleError
from scheduler.triggers.rrule.lines import parse_calendar_text
from scheduler.validation.findings import Findings

_EXPECTED = {
    "cron": "expected a form such as 0 9 * * 1-5",
    "rrule": "expected a form such as FREQ=WEEKLY;BYDAY=MO;BYHOUR=9;BYMINUTE=0",
    "once": "expected a form such as 2026-07-01T12:00:00",
}
_UNREADABLE = (ErrorReason.INVALID_CRON, ErrorReason.INVALID_RRULE, ErrorReason.INVALID_TIME)


def add_translated(
    error: ScheduleError, trigger: Trigger, path: str, schedule: Schedule, now: datetime, findings: Findings
) -> None:
    """Adds the error of the field at that path; unreadable text gets its translation.

    Where the translation is in local time and the schedule has no zone, that is reported as well.
    """
    kind = str(trigger.WhichOneof("kind"))
    if error.reason not in _UNREADABLE or error.repair or error.question:
        findings.add_error(path, error)
        return
    translation = translate(getattr(trigger, kind), kind, now, trigger.time_zone or schedule.time_zone)
    message = f"{error.message}; {translation.message or _EXPECTED[kind]}"
    readings = [reading for reading in translation.readings if _fits(reading, trigger, schedule, now)]
    choices = [choice for reading in readings for choice in _choices(reading, trigger)]
    if translation.certainty is not Certainty.CERTAIN and len(choices) < 2:
        choices = []
    if not choices:
        findings.add_error(path, ScheduleError(error.reason, message))
        return
    if len(choices) == 1 and translation.certainty is Certainty.CERTAIN:
        [reading] = readings
        repaired = ScheduleError(error.reason, message, repair=choices[0].edits, explanation=reading.why)
        findings.add_error(path, repaired)
    else:
        text = translation.question or "In which time zone is it?"
        default = translation.default if any(choice.id == translation.default for choice in choices) else ""
        question = Question("meaning", text, choices, default)
        findings.add_error(path, ScheduleError(error.reason, message, question=question))
    if not trigger.time_zone:
        _require_zone(readings, path, schedule, findings)


def _fits(reading: Reading, trigger: Trigger, schedule: Schedule, now: datetime) -> bool:
    """Whether the trigger has a time in the window of the schedule and outside of its exclusions."""
    is_interval = reading.trigger.kind == "interval"
    if schedule.max_occurrences and is_interval and len(schedule.triggers) > 1:
        return schedule.HasField("start_time")
    if not (schedule.HasField("start_time") or schedule.HasField("end_time") or schedule.exclusions):
        return True
    zones = (reading.zone, trigger.time_zone, schedule.time_zone, "UTC")
    zone_name = next(name for name in zones if name in zone_names())
    value = started(reading.trigger, now, zone(zone_name))
    try:
        alone = MessageToDict(schedule, preserving_proto_field_name=True)
        alone.update(triggers=[{"id": "t0", reading.trigger.kind: value}], time_zone=zone_name)
        compiled = CompiledSchedule.compile(alone)
    except ValueError:
        return True  # the window or an exclusion is not valid, which is a violation of its own
    try:
        return compiled.next_open(now)[0] is not None
    except ScheduleError:
        return False


def _choices(reading: Reading, trigger: Trigger) -> list[Choice]:
    """The reading as edits; two if the zone in the text and the one of the trigger differ."""
    edits = _edits(reading, trigger)
    if not reading.zone or not _is_local(reading.trigger) or _same(trigger.time_zone, reading.zone):
        return [Choice(reading.id, reading.label, edits)]
    zoned = [*edits, Edit(reading.zone, "time_zone")]
    if not trigger.time_zone:
        return [Choice(reading.id, reading.label, zoned)]
    return [
        Choice(f"{reading.id}-own-zone", f"in {trigger.time_zone}, the zone of the trigger", edits),
        Choice(f"{reading.id}-its-zone", f"in {reading.zone}, the zone of the text", zoned),
    ]


def _edits(reading: Reading, trigger: Trigger) -> list[Edit]:
    kind, written = reading.trigger.kind, str(trigger.WhichOneof("kind"))
    edits = [Edit(reading.trigger.value)]
    if kind != written:
        edits = [Edit(None), Edit(reading.trigger.value, kind)]
    if kind == "interval" and trigger.time_zone:
        edits.append(Edit(None, "time_zone"))
    if reading.params:
        edits.append(Edit({**MessageToDict(trigger.params), **dict(reading.params)}, "params"))
    return edits


def _same(first: str, second: str) -> bool:
    return first in zone_names() and same_zone(first, second)


def _is_local(trigger: TimeText) -> bool:
    match trigger.kind:
        case "cron":
            return True
        case "rrule":
            return parse_calendar_text(trigger.value).zone_name is None
        case "once":
            return parse_once(trigger.value).tzinfo is None
    return False


def _require_zone(readings: Iterable[Reading], path: str, schedule: Schedule, findings: Findings) -> None:
    missing = not schedule.time_zone and any(_is_local(reading.trigger) and not reading.zone for reading in readings)
    if missing and all(violation.field != "time_zone" for violation in findings.violations):
        message = f"{path} is in local time and needs an IANA time zone such as Europe/Chisinau"
        findings.add("time_zone", ErrorReason.TIMEZONE_REQUIRED, message)
