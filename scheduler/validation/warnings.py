"""Warnings about schedules that are valid but probably not intended."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from google.protobuf.json_format import MessageToDict

from ordinaut.v1.schedule_pb2 import Schedule, Trigger
from scheduler.schedules.schedule import CompiledSchedule
from scheduler.triggers.cron.parse import parse_cron, stepped_items
from scheduler.triggers.localtime.clock_change import LAST, Dst
from scheduler.triggers.localtime.zone import local_time, resolve, same_zone, zone_minutes
from scheduler.triggers.once import OnceTrigger, parse_once
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.rrule.day_sets import ALL_MONTHS
from scheduler.triggers.rrule.day_sets import completed as completed_rule
from scheduler.triggers.rrule.lines import parse_calendar_text
from scheduler.triggers.rrule.parse import Frequency, Rule, Skip
from scheduler.triggers.rrule.trigger import RRuleTrigger
from scheduler.triggers.trigger import stamp
from scheduler.validation.anchors import parts_of
from scheduler.validation.clock_changes import coming_changes
from scheduler.validation.fields import dst_of
from scheduler.validation.time_zone import own_zone

_ALL_DAYS, _ALL_WEEKDAYS = 31, 7
_SHORTEST = 28
_FIXED_ABBREVIATIONS = {"EST": "America/New_York", "MST": "America/Denver", "HST": "America/Adak"}
_DAYS_OF_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def warnings_of(completed: Schedule, since: datetime) -> list[str]:
    """The warnings about an accepted schedule, one sentence each."""
    compiled = CompiledSchedule.compile(MessageToDict(completed, preserving_proto_field_name=True))
    warnings = list(_of_zones(completed))
    with suppress(ScheduleError):  # too costly: reported by the call that needs the instant
        warnings.extend(_of_whole(compiled, since))
    for name in dict.fromkeys([completed.time_zone, *(trigger.time_zone for trigger in completed.triggers)]):
        warnings.extend(_of_zone(name))
    for index, trigger in enumerate(completed.triggers):
        where = own_zone(trigger) or compiled.zone
        match trigger.WhichOneof("kind"):
            case "cron":
                of_trigger = _of_cron(trigger.cron)
            case "rrule":
                of_trigger = _of_rule(trigger.rrule, where, open_start=trigger.HasField("anchor_time"))
            case "once":
                of_trigger = _of_once(trigger.once, where, dst_of(completed))
            case _:
                continue
        warnings.extend(f"triggers[{index}]: {warning}" for warning in of_trigger)
    with suppress(ScheduleError):
        warnings.extend(coming_changes(completed, compiled, since))
    return warnings


def _of_whole(compiled: CompiledSchedule, since: datetime) -> Iterator[str]:
    if compiled.has_time_triggers and not compiled.event_triggers and compiled.next_open(since)[0] is None:
        yield f"the schedule has no time after {stamp(since)}: it has ended"


def _of_zones(schedule: Schedule) -> Iterator[str]:
    """Names the times in rules whose zone is not that of the schedule or the trigger."""
    for path, part in parts_of(schedule):
        if part.WhichOneof("kind") != "rrule":
            continue
        is_own = isinstance(part, Trigger) and bool(part.time_zone)
        own = part.time_zone if isinstance(part, Trigger) and part.time_zone else schedule.time_zone or "UTC"
        rule = parse_calendar_text(part.rrule)
        named = [("DTSTART", rule.zone_name), *(("RDATE", each.where) for each in rule.added)]
        named += [("EXDATE", each.where) for each in rule.excluded]
        for name, where in dict.fromkeys(named):
            if where and not same_zone(where, own):
                yield f"{path}: its {name} is in {where}, the {'trigger' if is_own else 'schedule'} in {own}"


def _of_cron(text: str) -> Iterator[str]:
    fields = parse_cron(text)
    restarts = False
    for name, item, values in stepped_items(text):
        yield from _of_step(name, item, values)
        restarts = restarts or _restarts_each_month(name, values)
    if not fields.any_day and not fields.any_weekday:
        yield "day of month and day of week are ORed: it runs on days that match either"
    elif len(fields.days) < _ALL_DAYS and len(fields.weekdays) < _ALL_WEEKDAYS:
        yield "a day must match both day of month and day of week, because one of the fields begins with *"
    if fields.any_weekday and not restarts:
        yield from _of_short_months(fields.days, fields.months)


def _of_step(name: str, item: str, values: range) -> Iterator[str]:
    if values.step > 1 and len(values) == 1:
        yield f"{item} in the field {name} means only {values.start}: the step is not smaller than the range"
    elif _restarts_each_month(name, values):
        first, last = values[0], values[-1]
        yield f"{item} in the field {name} restarts in each month: day {last} is followed by day {first}"
    elif item.startswith("*") and (values.stop - values.start) % values.step:
        yield f"{item} in the field {name} restarts at {values.start} each time: the last interval is shorter"


def _restarts_each_month(name: str, values: range) -> bool:
    """Whether the values are steps to the end of a month, whatever its length."""
    return name == "day of month" and values.step > 1 and len(values) > 1 and values.stop > _ALL_DAYS


def _of_short_months(days: Collection[int], months: Iterable[int], advice: str = "") -> Iterator[str]:
    """Warnings about days that some months lack, unless the days are all from one on to the end of the month."""
    last = max(days)
    if last <= _SHORTEST or set(range(_SHORTEST, last + 1)) <= set(days):
        return
    missing = min(day for day in days if day > _SHORTEST)
    skipped = sum(1 for month in months if _DAYS_OF_MONTH[month - 1] < missing)
    if skipped:
        yield f"day {missing} skips {skipped} of the months{advice}"
    elif missing == 29 and 2 in months:
        yield f"29 February exists in leap years only{advice}"
    elif last > missing:
        yield from _of_short_months([last], months, advice)


def _of_rule(text: str, where: ZoneInfo, *, open_start: bool) -> Iterator[str]:
    parts = parse_calendar_text(text)
    rule = parts.rule
    if rule is None or parts.start is None:
        return
    if open_start and rule.hours and not rule.minutes and rule.frequency <= Frequency.DAILY:
        yield f"the minute ({parts.start.minute}) is that of the creation time; add BYMINUTE=0 or a DTSTART"
    if open_start and rule.minutes and not rule.seconds and parts.start.second:
        yield f"the second ({parts.start.second}) is that of the creation time; add BYSECOND=0 or a DTSTART"
    trigger = RRuleTrigger(text, where)
    if not open_start and not trigger.starts_at(parts.start):
        yield f"DTSTART {stamp(parts.start)} does not match the rule, so it is not an occurrence"
    if rule.skip is Skip.OMIT:
        yield from _of_rule_days(completed_rule(rule, parts.start.date()), parts.start.month)


def _of_rule_days(rule: Rule, start_month: int) -> Iterator[str]:
    """Days from the end count as the day of the same number, because the same months lack it."""
    if rule.month_days and rule.frequency <= Frequency.DAILY:
        months: Iterable[int] = rule.months or ALL_MONTHS
        if rule.frequency == Frequency.MONTHLY:
            visited = {(start_month - 1 + rule.interval * number) % 12 + 1 for number in range(12)}
            months = visited.intersection(months)
        advice = (
            "" if rule.frequency == Frequency.DAILY else "; SKIP=BACKWARD runs on the last day of the month instead"
        )
        yield from _of_short_months({abs(day) for day in rule.month_days}, months, advice)


def _of_zone(name: str) -> Iterator[str]:
    """Names that are valid and do not mean what they seem to."""
    if name in _FIXED_ABBREVIATIONS:
        city = _FIXED_ABBREVIATIONS[name]
        hours = -zone_minutes(name, datetime(2026, 7, 1, tzinfo=UTC)) // 60
        yield f"{name} is a fixed offset, {hours} h behind UTC in summer as well; {city} follows the clock changes"
    elif name.startswith("Etc/GMT") and name[7:8] in ("+", "-") and name[8:] != "0":
        direction = "behind" if name[7] == "+" else "ahead of"
        yield f"{name} is {name[8:]} h {direction} UTC: the sign in Etc names is reversed"


def _of_once(text: str, where: ZoneInfo, dst: Dst) -> Iterator[str]:
    """What clocks do at a local time, and when it runs."""
    time = parse_once(text)
    if time.tzinfo is not None:
        return
    resolution = resolve(time, where)
    if resolution.repeated:
        which_pass = "second" if dst.overlap == LAST else "first"
        yield f"on {time:%Y-%m-%d} clocks show {time:%H:%M} twice: it runs at the {which_pass}; an offset decides it"
    elif resolution.skipped and (firing := OnceTrigger(text, where, dst).firing) is not None:
        runs_at = local_time(firing.time, where)
        yield f"on {time:%Y-%m-%d} clocks skip {time:%H:%M}: it runs at {runs_at:%H:%M}"
