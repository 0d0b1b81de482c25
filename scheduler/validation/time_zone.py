"""Which time zone a schedule's local times are in."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.schedule_pb2 import Schedule, Trigger
from scheduler.triggers.localtime.zone import same_zone, zone
from scheduler.triggers.once import parse_once
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.rrule.lines import parse_calendar_text
from scheduler.validation.findings import Findings


@dataclass(frozen=True, slots=True)
class ZoneChoice:
    """`name` is what the schedule is to say, empty where nothing needs a zone; `zone` is what to check with."""

    name: str
    zone: ZoneInfo


def choose_zone(schedule: Schedule, found: Findings) -> ZoneChoice:
    """The schedule's own zone, else the one that all its rules name in their text.

    Adds UNKNOWN_TIMEZONE, TIMEZONE_CONFLICT and TIMEZONE_REQUIRED to the findings.
    """
    named = _named_by_rules(schedule)
    needing = [index for index, trigger in enumerate(schedule.triggers) if _needs_zone(trigger, named.get(index))]
    if schedule.time_zone:
        return _own(schedule, named, needing, found)
    chosen = next(iter(named.values()), "")
    for index, name in named.items():
        if not same_zone(name, chosen):
            found.add(f"triggers[{index}].rrule", ErrorReason.TIMEZONE_CONFLICT, _conflict(name, chosen))
    if needing:
        _required(needing[0], schedule, chosen, found)
        return ZoneChoice("", zone(chosen or "UTC"))
    return ZoneChoice(chosen, zone(chosen or "UTC"))


def _own(schedule: Schedule, named: dict[int, str], needing: list[int], found: Findings) -> ZoneChoice:
    try:
        own = zone(schedule.time_zone)
    except ScheduleError as error:
        found.take("time_zone", error)
        return ZoneChoice(schedule.time_zone, zone("UTC"))
    certain = len(set(named.values())) == 1 and not needing
    for index, name in named.items():
        if not same_zone(name, own.key):
            found.add_repairable(
                f"triggers[{index}].rrule",
                ErrorReason.TIMEZONE_CONFLICT,
                _conflict(name, own.key),
                target="time_zone",
                value=name if certain else None,
                explanation=f"Takes the zone {name} that the rule itself names.",
            )
    return ZoneChoice(own.key, own)


def _conflict(name: str, other: str) -> str:
    return f"DTSTART is in {name}, the schedule in {other}; one schedule has one zone"


def _required(index: int, schedule: Schedule, known: str, found: Findings) -> None:
    kind = schedule.triggers[index].WhichOneof("kind")
    found.add_repairable(
        "time_zone",
        ErrorReason.TIMEZONE_REQUIRED,
        f"triggers[{index}].{kind} is in local time: name an IANA time zone such as Europe/Chisinau",
        target="time_zone",
        value=known or None,
        explanation=f"Takes the zone {known} that another trigger names.",
    )


def _named_by_rules(schedule: Schedule) -> dict[int, str]:
    """The zones that DTSTART lines name, by the place of their trigger; texts that cannot be read name none."""
    named = {}
    for index, trigger in enumerate(schedule.triggers):
        if trigger.WhichOneof("kind") != "rrule":
            continue
        try:
            name = parse_calendar_text(trigger.rrule).zone_name
        except ScheduleError:
            continue  # the check of the trigger itself reports it
        if name:
            named[index] = name
    return named


def _needs_zone(trigger: Trigger, named: str | None) -> bool:
    match trigger.WhichOneof("kind"):
        case "cron":
            return True
        case "rrule":
            return named is None and _is_readable(trigger)
        case "once":
            return _is_local(trigger.once)
    return False


def _is_readable(trigger: Trigger) -> bool:
    try:
        parse_calendar_text(trigger.rrule)
    except ScheduleError:
        return False
    return True


def _is_local(text: str) -> bool:
    try:
        return parse_once(text).tzinfo is None
    except ScheduleError:
        return False
