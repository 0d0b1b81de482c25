"""From when max_occurrences counts, if the schedule has no start_time."""

from datetime import UTC, datetime, timedelta

from google.protobuf.json_format import MessageToDict

from ordinaut.clock import TICK
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.schedule_pb2 import Schedule
from scheduler.schedules.schedule import CompiledSchedule
from scheduler.triggers.problem import ScheduleError
from scheduler.validation.anchors import is_readable
from scheduler.validation.fields import MAX_OCCURRENCES
from scheduler.validation.findings import Findings
from scheduler.validation.kept_parts import KeptParts

SECOND = timedelta(seconds=1)


def complete_count(schedule: Schedule, parts: KeptParts, now: datetime, findings: Findings) -> None:
    """Writes counted_from and counted_before.

    A change of the schedule does not begin to count anew: what the old triggers have fired counts. Only when all time
    triggers are replaced, or when there was no limit, do occurrences count from now on.
    """
    before = parts.before
    if schedule.HasField("start_time") or not schedule.max_occurrences:
        _clear(schedule)
    elif before is None:
        _use_own(schedule, now, findings)
    elif not (before.max_occurrences and before.HasField("counted_from")):
        _begin(schedule, now)
    elif _equal(schedule, before):
        schedule.counted_from.CopyFrom(before.counted_from)
        schedule.counted_before = before.counted_before
    else:
        _begin(schedule, now)
        schedule.counted_before = _passed(before, now) if parts.has_time_triggers else 0


def _clear(schedule: Schedule) -> None:
    schedule.ClearField("counted_from")
    schedule.ClearField("counted_before")


def _use_own(schedule: Schedule, now: datetime, findings: Findings) -> None:
    """Uses the values of a schedule that was read elsewhere."""
    if not schedule.HasField("counted_from"):
        _begin(schedule, now)
    elif not is_readable(schedule.counted_from) or not 0 <= schedule.counted_before <= MAX_OCCURRENCES:
        message = f"expected a time with counted_before from 0 to {MAX_OCCURRENCES} (got {schedule.counted_before})"
        findings.add("counted_from", ErrorReason.FIELD_INVALID, message)
        _clear(schedule)


def _begin(schedule: Schedule, now: datetime) -> None:
    """Counts the instants after now; they are whole seconds."""
    schedule.counted_from.FromDatetime(now.replace(microsecond=0) + SECOND)
    schedule.ClearField("counted_before")


def _equal(schedule: Schedule, before: Schedule) -> bool:
    copy = Schedule()
    copy.CopyFrom(before)
    _clear(copy)
    _clear(schedule)
    return copy == schedule


def _passed(before: Schedule, now: datetime) -> int:
    """The number of occurrences up to now that count."""
    try:
        plan = CompiledSchedule.compile(MessageToDict(before, preserving_proto_field_name=True))
        number, last = int(before.counted_before), before.counted_from.ToDatetime(UTC) - TICK
        while number < before.max_occurrences:
            instant, _ = plan.next_open(last)
            if instant is None or instant.time > now:
                break
            number, last = number + 1, instant.time
    except ScheduleError:  # newer zone data lack its zone, or it is too costly: nothing of it can be counted
        return 0
    return number
