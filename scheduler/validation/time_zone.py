"""Chooses the time zone of a schedule's local times."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.schedule_pb2 import Exclusion, Schedule, Trigger
from scheduler.triggers.localtime.zone import same_zone, zone, zone_names
from scheduler.triggers.once import parse_once
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.rrule.lines import parse_calendar_text
from scheduler.validation.findings import Findings


@dataclass(frozen=True, slots=True)
class ZoneChoice:
    """`name` is the time_zone to store, empty if no trigger needs one; `zone` is used in the checks."""

    name: str
    zone: ZoneInfo

    def of(self, part: Trigger | Exclusion) -> ZoneInfo:
        """The zone of a trigger: its own if it has one that exists, else the schedule's; that of exclusions."""
        return own_zone(part) or self.zone if isinstance(part, Trigger) else self.zone


def own_zone(trigger: Trigger) -> ZoneInfo | None:
    """The trigger's own zone; None without one, or if it does not exist, which `choose_zone` reports."""
    return zone(trigger.time_zone) if trigger.time_zone in zone_names() else None


def choose_zone(schedule: Schedule, findings: Findings, now: datetime) -> ZoneChoice:
    """The schedule's time_zone, or else the zone of the DTSTART in all its rules.

    At `now` the choices of an offset such as `UTC+2` have that offset.

    Adds UNKNOWN_TIMEZONE, TIMEZONE_CONFLICT and TIMEZONE_REQUIRED to the findings.
    """
    named = _named_by_rules(schedule)
    for index, trigger in enumerate(schedule.triggers):
        if trigger.time_zone:
            _check_own(trigger, f"triggers[{index}]", named.pop(index, ""), findings, now)
    needing = [index for index, trigger in enumerate(schedule.triggers) if _needs_zone(trigger, named.get(index))]
    if schedule.time_zone:
        return _own(schedule, named, needing, findings, now)
    chosen = next(iter(named.values()), "")
    for index, name in named.items():
        if not same_zone(name, chosen):
            _add_conflict(index, name, chosen, findings)
    if needing:
        _required(needing[0], schedule, chosen, findings)
        return ZoneChoice("", zone(chosen or "UTC"))
    return ZoneChoice(chosen, zone(chosen or "UTC"))


def _own(
    schedule: Schedule, named: dict[int, str], needing: list[int], findings: Findings, now: datetime
) -> ZoneChoice:
    try:
        own = zone(schedule.time_zone, now)
    except ScheduleError as error:
        findings.add_error("time_zone", error)
        return ZoneChoice(schedule.time_zone, zone("UTC"))
    whole = len(set(named.values())) == 1 and not needing
    for index, name in named.items():
        if not same_zone(name, own.key):
            _add_conflict(index, name, own.key, findings, whole=whole)
    return ZoneChoice(own.key, own)


def _check_own(trigger: Trigger, path: str, named: str, findings: Findings, now: datetime) -> None:
    """Checks a trigger's own zone; `named` is the zone of its DTSTART."""
    kind = trigger.WhichOneof("kind")
    if kind not in ("cron", "rrule", "once"):
        message = f"time_zone is allowed only with cron, rrule and once (got it with {kind})"
        findings.add(f"{path}.time_zone", ErrorReason.FIELD_INVALID, message)
        return
    try:
        own = zone(trigger.time_zone, now)
    except ScheduleError as error:
        findings.add_error(f"{path}.time_zone", error)
        return
    if named and not same_zone(named, own.key):
        findings.add_repairable(
            f"{path}.rrule",
            ErrorReason.TIMEZONE_CONFLICT,
            f"DTSTART is in {named}, the trigger in {own.key}",
            target=f"{path}.time_zone",
            value=named,
            explanation=f"Uses the zone {named} of the rule.",
        )


def _add_conflict(index: int, name: str, schedule_zone: str, findings: Findings, *, whole: bool = False) -> None:
    """Adds a rule in another zone; its repair sets the zone of the `whole` schedule or of the trigger.

    A DTSTART in UTC is often meant as local time, so that only its TZID is certain.
    """
    path = f"triggers[{index}]"
    findings.add_repairable(
        f"{path}.rrule",
        ErrorReason.TIMEZONE_CONFLICT,
        f"DTSTART is in {name}, the schedule in {schedule_zone}; set time_zone of the trigger to use both",
        target="time_zone" if whole else f"{path}.time_zone",
        value=name if whole or name != "UTC" else None,
        explanation=f"Uses the zone {name} of the rule.",
    )


def _required(index: int, schedule: Schedule, zone_name: str, findings: Findings) -> None:
    kind = schedule.triggers[index].WhichOneof("kind")
    findings.add_repairable(
        "time_zone",
        ErrorReason.TIMEZONE_REQUIRED,
        f"triggers[{index}].{kind} is in local time and needs an IANA time zone such as Europe/Chisinau",
        target="time_zone",
        value=zone_name or None,
        explanation=f"Uses the zone {zone_name} of another trigger.",
    )


def _named_by_rules(schedule: Schedule) -> dict[int, str]:
    """The zones in DTSTART lines, by the index of their trigger; texts that cannot be parsed are ignored."""
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
    if trigger.time_zone:
        return False
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
