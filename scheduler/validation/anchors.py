"""The times that the server writes into a schedule because the caller wrote none: what rules and intervals count from.

An anchor stays until its trigger changes. A rule with such an anchor belongs to the schedule's zone: when the zone
changes, its DTSTART keeps the local time, or the instant if the rule counts elapsed time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp

from ordinaut.limits import FIRST_YEAR, LAST_YEAR
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.schedule_pb2 import Exclusion, Schedule, Trigger
from scheduler.triggers.interval import MAX_INTERVAL
from scheduler.triggers.localtime.zone import local_time, resolve, zone
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.rrule.first_start import first_start
from scheduler.triggers.rrule.lines import parse_calendar_text, with_start, without_start
from scheduler.triggers.rrule.parse import Frequency
from scheduler.validation.fields import dst_of
from scheduler.validation.findings import Findings

ZoneOf = Callable[[Trigger | Exclusion], ZoneInfo]
SECOND = timedelta(seconds=1)
MAX_MOVE = timedelta(hours=3)  # by which newer zone data may move a DTSTART away from the stored anchor


@dataclass(frozen=True, slots=True)
class Detached:
    """A rule whose DTSTART the server wrote; `start` is local to `where`."""

    part: Trigger | Exclusion
    start: datetime
    where: ZoneInfo
    counts_elapsed_time: bool


def check_anchors(schedule: Schedule, findings: Findings) -> None:
    """Checks the anchors of a schedule that was read elsewhere; those that cannot be used are removed."""
    for path, part in parts_of(schedule):
        if part.HasField("anchor_time") and not is_readable(part.anchor_time):
            message = f"anchor_time must be in the years {FIRST_YEAR} to {LAST_YEAR}"
            findings.add(f"{path}.anchor_time", ErrorReason.FIELD_INVALID, message)
            part.ClearField("anchor_time")


def detach(schedule: Schedule) -> list[Detached]:
    """Removes every DTSTART that the server wrote, so that only those of the caller name zones."""
    detached = []
    for _, part in parts_of(schedule):
        if not part.HasField("anchor_time") or part.WhichOneof("kind") == "interval":
            continue
        if rule := _detached(part):
            detached.append(rule)
            part.rrule = without_start(part.rrule)
        else:
            part.ClearField("anchor_time")
    return detached


def attach(schedule: Schedule, detached: Sequence[Detached], zone_of: ZoneOf, now: datetime) -> None:
    """Writes the DTSTART of every rule without one, and the anchors of intervals without start_time."""
    for rule in detached:
        where = zone_of(rule.part)
        if rule.where.key == where.key:
            rule.part.rrule = with_start(rule.part.rrule, rule.start, where)
        else:
            _attach(rule.part, where, *_moved(rule, where))
    opening = now.replace(microsecond=0)
    since = schedule.start_time.ToDatetime(UTC) - SECOND if _has_readable_start(schedule) else now
    for trigger in schedule.triggers:
        kind = trigger.WhichOneof("kind")
        if kind == "rrule" and lacks_start(trigger.rrule):
            where = zone_of(trigger)
            _attach(trigger, where, *first_start(trigger.rrule, now, since, where, dst_of(schedule)))
        elif kind == "interval" and schedule.HasField("start_time"):
            trigger.ClearField("anchor_time")
        elif kind == "interval" and not trigger.HasField("anchor_time"):
            trigger.anchor_time.FromDatetime(opening + _first_length(trigger, schedule))
    for exclusion in schedule.exclusions:  # their first day is that of the creation
        if exclusion.WhichOneof("kind") == "rrule" and lacks_start(exclusion.rrule):
            where = zone_of(exclusion)
            _attach(exclusion, where, local_time(opening, where).replace(fold=0), opening)


def lacks_start(text: str) -> bool:
    """Whether a rule can be read and has no DTSTART."""
    try:
        return parse_calendar_text(text).start is None
    except ScheduleError:
        return False  # the check of the trigger itself reports it


def is_readable(stamp: Timestamp, last_year: int = LAST_YEAR) -> bool:
    """Whether a time is in the years of schedules, or up to another year."""
    try:
        return FIRST_YEAR <= stamp.ToDatetime(UTC).year <= last_year
    except (ValueError, OverflowError):
        return False


def _first_length(trigger: Trigger, schedule: Schedule) -> timedelta:
    """Where max_occurrences counts, an interval begins with the first instant that counts."""
    if not schedule.max_occurrences:
        return timedelta()
    return timedelta(seconds=min(max(trigger.interval.seconds, 0), MAX_INTERVAL // SECOND))


def _has_readable_start(schedule: Schedule) -> bool:
    return schedule.HasField("start_time") and is_readable(schedule.start_time)


def parts_of(schedule: Schedule) -> Iterator[tuple[str, Trigger | Exclusion]]:
    """The triggers and exclusions with their paths."""
    for index, trigger in enumerate(schedule.triggers):
        yield f"triggers[{index}]", trigger
    for index, exclusion in enumerate(schedule.exclusions):
        yield f"exclusions[{index}]", exclusion


def _detached(part: Trigger | Exclusion) -> Detached | None:
    """None if the anchor is not the DTSTART of the rule, which is then the caller's."""
    if part.WhichOneof("kind") != "rrule":
        return None
    try:
        parts = parse_calendar_text(part.rrule)
    except ScheduleError:
        return None
    if parts.start is None or parts.zone_name is None:
        return None
    where = zone(parts.zone_name)
    if abs(resolve(parts.start, where).first - part.anchor_time.ToDatetime(UTC)) > MAX_MOVE:
        return None
    elapsed = parts.rule is not None and parts.rule.frequency > Frequency.DAILY
    return Detached(part, parts.start, where, elapsed)


def _moved(rule: Detached, where: ZoneInfo) -> tuple[datetime, datetime]:
    """The start in the schedule's zone, local and as an instant."""
    if not rule.counts_elapsed_time:
        return rule.start, resolve(rule.start, where).first
    instant = rule.part.anchor_time.ToDatetime(UTC)
    return local_time(instant, where).replace(fold=0), instant


def _attach(part: Trigger | Exclusion, where: ZoneInfo, start: datetime, instant: datetime) -> None:
    part.rrule = with_start(part.rrule, start, where)
    part.anchor_time.FromDatetime(instant)
