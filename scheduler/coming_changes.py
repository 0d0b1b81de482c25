"""What the clock changes of the coming year do to a schedule, in sentences."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from ordinaut.v1.schedule_pb2 import Schedule
from scheduler.schedule import CompiledSchedule, Instant
from scheduler.triggers.zone import local_time, resolve

_DAY = timedelta(days=1)
_DAYS_AHEAD = 366
_MOST_A_DAY = 24  # of denser schedules nobody asks where one occurrence went


def coming_changes(schedule: Schedule, plan: CompiledSchedule, since: datetime) -> Iterator[str]:
    """One sentence for each change that moves an occurrence or repeats its time; of each kind the first.

    Raises:
        ScheduleError: SCHEDULE_TOO_COSTLY.
    """
    seen: set[str] = set()
    for begin, shift in _changes(plan, since):
        for kind, text in (*_moved(plan, begin), *_drifting(schedule, plan, begin, shift)):
            if kind not in seen:
                seen.add(kind)
                yield text


def _changes(plan: CompiledSchedule, since: datetime) -> Iterator[tuple[datetime, timedelta]]:
    """The days that hold a change: their beginning and by how much clocks are set."""
    for day, following in pairwise(since + number * _DAY for number in range(_DAYS_AHEAD)):
        shift = _offset(plan, following) - _offset(plan, day)
        if shift:
            yield day, shift


def _offset(plan: CompiledSchedule, instant: datetime) -> timedelta:
    return local_time(instant, plan.zone).replace(fold=0) - instant.replace(tzinfo=None)


def _moved(plan: CompiledSchedule, begin: datetime) -> Iterator[tuple[str, str]]:
    instants = list(_instants(plan, begin))
    if len(instants) > _MOST_A_DAY:
        return
    for instant in instants:
        shown = local_time(instant.time, plan.zone)
        day, nominal = instant.nominal_local.split("T")
        if instant.adjusted:
            yield "gap", f"on {day} clocks skip {nominal[:5]}: it runs at {shown:%H:%M}"
        elif instant.key_nominal.startswith(("cron:", "rrule:")) and not _repeats(instants, instant):
            found = resolve(shown.replace(fold=0), plan.zone)
            if found.repeated and not instant.key_nominal.endswith("Z"):
                place = "second" if shown.fold else "first"
                yield "overlap", f"on {day} clocks show {nominal[:5]} twice: it runs at the {place}"


def _repeats(instants: list[Instant], instant: Instant) -> bool:
    """The other pass is an occurrence as well."""
    key = instant.key_nominal.removesuffix("~2")
    return sum(other.key_nominal.removesuffix("~2") == key for other in instants) > 1


def _instants(plan: CompiledSchedule, begin: datetime) -> Iterator[Instant]:
    instant, state = plan.next_open(begin)
    for _ in range(_MOST_A_DAY + 1):
        if instant is None or instant.time > begin + _DAY:
            return
        yield instant
        instant, state = plan.next_open(instant.time, state)


def _drifting(
    schedule: Schedule, plan: CompiledSchedule, begin: datetime, shift: timedelta
) -> Iterator[tuple[str, str]]:
    """Intervals count elapsed time: their local times move with the clock."""
    day = local_time(begin + _DAY, plan.zone).date()
    for index, trigger in enumerate(schedule.triggers):
        length = trigger.interval.seconds
        if trigger.WhichOneof("kind") == "interval" and int(shift.total_seconds()) % length:
            by = "an hour" if abs(shift) == timedelta(hours=1) else str(abs(shift))
            yield f"interval {index}", f"triggers[{index}]: its local time moves by {by} on {day}"
