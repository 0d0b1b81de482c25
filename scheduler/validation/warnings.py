"""Warnings about schedules that are valid but probably not intended."""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

from google.protobuf.json_format import MessageToDict

from ordinaut.v1.schedule_pb2 import Schedule
from scheduler.schedules.schedule import CompiledSchedule
from scheduler.triggers.cron.parse import NICKNAMES, CronFields, parse_cron
from scheduler.triggers.localtime.zone import same_zone
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.rrule.lines import parse_calendar_text
from scheduler.triggers.rrule.parse import Frequency
from scheduler.triggers.rrule.trigger import RRuleTrigger
from scheduler.triggers.trigger import stamp
from scheduler.validation.clock_changes import coming_changes

_DAYS_OF_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_STEP = re.compile(r"\*/([0-9]+)", re.ASCII)


def warnings_of(completed: Schedule, since: datetime) -> list[str]:
    """The warnings about an accepted schedule, one sentence each."""
    compiled = CompiledSchedule.compile(MessageToDict(completed, preserving_proto_field_name=True))
    warnings = [*_of_whole(compiled, since), *_of_zones(completed)]
    for index, trigger in enumerate(completed.triggers):
        match trigger.WhichOneof("kind"):
            case "cron":
                of_trigger = _of_cron(trigger.cron)
            case "rrule":
                of_trigger = _of_rule(trigger.rrule, compiled, open_start=trigger.HasField("anchor_time"))
            case _:
                continue
        warnings.extend(f"triggers[{index}]: {warning}" for warning in of_trigger)
    with suppress(ScheduleError):  # too costly: reported by the call that needs the instant
        warnings.extend(coming_changes(completed, compiled, since))
    return warnings


def _of_whole(compiled: CompiledSchedule, since: datetime) -> Iterator[str]:
    if compiled.has_time_triggers and not compiled.event_triggers and compiled.next_open(since)[0] is None:
        yield f"the schedule has no time after {stamp(since)}: it has ended"


def _of_zones(schedule: Schedule) -> Iterator[str]:
    """Names the rules whose DTSTART is in a zone that is not the schedule's."""
    own = schedule.time_zone or "UTC"
    rules = [(f"triggers[{index}]", trigger.rrule) for index, trigger in enumerate(schedule.triggers)]
    rules += [(f"exclusions[{index}]", exclusion.rrule) for index, exclusion in enumerate(schedule.exclusions)]
    for path, text in rules:
        named = parse_calendar_text(text).zone_name if text else None
        if named and not same_zone(named, own):
            yield f"{path}: its DTSTART is in {named}, the schedule in {own}"


def _of_cron(text: str) -> Iterator[str]:
    fields = parse_cron(text)
    minute, hour, *_ = NICKNAMES.get(text.strip().lower(), text).split()
    yield from _of_step("minute", minute, 60)
    yield from _of_step("hour", hour, 24)
    if not fields.any_day and not fields.any_weekday:
        yield "day of month and day of week are ORed: it runs on days that match either"
    yield from _of_short_months(fields)


def _of_step(name: str, field: str, size: int) -> Iterator[str]:
    match = _STEP.fullmatch(field)
    step = int(match[1]) if match else 1
    if step >= size:
        yield f"*/{step} in the field {name} means only 0: the step is not smaller than the range"
    elif size % step:
        yield f"*/{step} in the field {name} restarts at 0 each time: the last interval is shorter"


def _of_short_months(fields: CronFields) -> Iterator[str]:
    if fields.any_day or not fields.any_weekday:
        return
    first = min(fields.days)
    skipped = sum(1 for month in fields.months if _DAYS_OF_MONTH[month - 1] < first)
    if skipped:
        yield f"day {first} skips {skipped} of the months"
    elif first == 29 and 2 in fields.months:
        yield "29 February exists in leap years only"


def _of_rule(text: str, compiled: CompiledSchedule, *, open_start: bool) -> Iterator[str]:
    parts = parse_calendar_text(text)
    rule = parts.rule
    if rule is None or parts.start is None:
        return
    if open_start and rule.hours and not rule.minutes and rule.frequency <= Frequency.DAILY:
        yield f"the minute ({parts.start.minute}) is that of the creation time; add BYMINUTE=0 or a DTSTART"
    if open_start and rule.minutes and not rule.seconds and parts.start.second:
        yield f"the second ({parts.start.second}) is that of the creation time; add BYSECOND=0 or a DTSTART"
    trigger = RRuleTrigger(text, compiled.zone)
    if not open_start and not trigger.starts_at(parts.start):
        yield f"DTSTART {stamp(parts.start)} does not match the rule, so it is not an occurrence"
    if rule.month_days and min(abs(day) for day in rule.month_days) > 28:
        yield f"months shorter than {min(abs(day) for day in rule.month_days)} days are skipped"
