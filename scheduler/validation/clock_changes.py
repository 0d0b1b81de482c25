"""Warnings about the effects of next year's clock changes on a schedule."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from ordinaut.v1.schedule_pb2 import Schedule
from scheduler.schedules.schedule import CompiledSchedule, Instant
from scheduler.triggers.localtime.zone import local_time, resolve, zone

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_AROUND = timedelta(hours=3)
_DAYS_AHEAD = 366
_FEW = 4  # an hourly schedule has more around a change, and runs in each hour
_MAX_INSTANTS = 8  # denser schedules get no warnings about single occurrences


def coming_changes(schedule: Schedule, plan: CompiledSchedule, since: datetime) -> Iterator[str]:
    """One sentence for the first change of each kind that moves an occurrence or repeats its time.

    Raises:
        ScheduleError: SCHEDULE_TOO_COSTLY.
    """
    kinds: set[tuple[str, str]] = set()
    for where in plan.zones:
        for change, shift in _changes(where.key, since.toordinal()):
            drifting = _drifting(schedule, plan, change, shift) if where.key == plan.zone.key else ()
            for kind, text in (*_moved(plan, change, where), *drifting):
                if (where.key, kind) not in kinds:
                    kinds.add((where.key, kind))
                    yield text


@lru_cache(maxsize=1024)
def _changes(name: str, day: int) -> tuple[tuple[datetime, timedelta], ...]:
    """The clock changes in the year that begins on that day (UTC), each with its shift."""
    where = zone(name)
    midnights = [datetime.combine(date.fromordinal(day + number), time(), UTC) for number in range(_DAYS_AHEAD)]
    offsets = [_offset(where, midnight) for midnight in midnights]
    return tuple(
        (_change_after(where, midnight, before), after - before)
        for midnight, before, after in zip(midnights, offsets, offsets[1:], strict=False)
        if before != after
    )


def _change_after(where: ZoneInfo, low: datetime, before: timedelta) -> datetime:
    """The change within a day after `low`; until then the offset is `before`."""
    high = low + _DAY
    while high - low > _SECOND:
        middle = low + (high - low) // 2
        if _offset(where, middle) == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)


def _offset(where: ZoneInfo, instant: datetime) -> timedelta:
    return local_time(instant, where).replace(fold=0) - instant.replace(tzinfo=None)


def _moved(plan: CompiledSchedule, change: datetime, where: ZoneInfo) -> Iterator[tuple[str, str]]:
    instants = [instant for instant in _instants(plan, change) if instant.where.key == where.key]
    if len(instants) > _MAX_INSTANTS:
        return
    for instant in instants:
        local = local_time(instant.time, where)
        day, nominal = instant.nominal_local.split("T")
        if instant.kind not in ("cron", "rrule") or instant.key_nominal.endswith("Z"):
            continue  # an interval counts elapsed time; a `once` has a warning of its own
        if instant.adjusted:
            yield "gap", f"on {day} clocks skip {nominal[:5]}: it runs at {local:%H:%M}"
        elif resolve(local.replace(fold=0), where).repeated:
            if not _repeats(instants, instant):
                which_pass = "second" if local.fold else "first"
                yield "overlap", f"on {day} clocks show {nominal[:5]} twice: it runs at the {which_pass}"
            elif len(instants) <= _FEW:
                yield "both", f"on {day} clocks show {nominal[:5]} twice: it runs at both"


def _repeats(instants: list[Instant], instant: Instant) -> bool:
    """Whether the other pass is an occurrence as well."""
    key = instant.key_nominal.removesuffix("~2")
    return sum(candidate.key_nominal.removesuffix("~2") == key for candidate in instants) > 1


def _instants(plan: CompiledSchedule, change: datetime) -> Iterator[Instant]:
    instant, state = plan.next_open(change - _AROUND)
    for _ in range(_MAX_INSTANTS + 1):
        if instant is None or instant.time > change + _AROUND:
            return
        yield instant
        instant, state = plan.next_open(instant.time, state)


def _drifting(
    schedule: Schedule, plan: CompiledSchedule, change: datetime, shift: timedelta
) -> Iterator[tuple[str, str]]:
    """Warnings about intervals: they count elapsed time, so their local times shift."""
    day = local_time(change, plan.zone).date()
    for index, trigger in enumerate(schedule.triggers):
        length = trigger.interval.seconds
        if trigger.WhichOneof("kind") == "interval" and int(shift.total_seconds()) % length:
            by = "an hour" if abs(shift) == timedelta(hours=1) else str(abs(shift))
            yield f"interval {index}", f"triggers[{index}]: its local time shifts by {by} on {day}"
