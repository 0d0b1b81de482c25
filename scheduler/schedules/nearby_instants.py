"""The instants of a schedule around a given time."""

from datetime import datetime, timedelta

from ordinaut.clock import TICK
from scheduler.schedules.schedule import CompiledSchedule, Instant
from scheduler.triggers.trigger import BEGINNING

# How far back the previous instant is searched, step by step: in a dense schedule it is near.
_SEARCH_SPANS = (
    timedelta(minutes=2), timedelta(hours=2), timedelta(days=2), timedelta(days=40), timedelta(days=800),
    timedelta(days=20_000),
)  # fmt: skip
_MAX_INSTANTS = 10_000


def at(plan: CompiledSchedule, time: datetime) -> Instant | None:
    """The instant at exactly that time, if the schedule has one; it may be excluded.

    Raises:
        ScheduleError: SCHEDULE_TOO_COSTLY.
    """
    instant, _ = plan.next(time - TICK)
    return instant if instant is not None and instant.time == time else None


def before(plan: CompiledSchedule, time: datetime) -> Instant | None:
    """The last instant before that time; None also if it is too far back for the density of the schedule.

    Raises:
        ScheduleError: SCHEDULE_TOO_COSTLY.
    """
    for span in _SEARCH_SPANS:
        since = max(time - span, BEGINNING)
        instant, state = plan.next(since)
        last = None
        for _ in range(_MAX_INSTANTS):
            if instant is None or instant.time >= time:
                break
            last = instant
            instant, state = plan.next(instant.time, state)
        if last is not None:
            return last
    return None


YEAR = timedelta(days=365)
MAX_COUNTED = 1_000


def runs_per_year(plan: CompiledSchedule, since: datetime) -> int:
    """The number of occurrences in the next 365 days; for dense schedules an estimate from the first thousand.

    Raises:
        ScheduleError: SCHEDULE_TOO_COSTLY.
    """
    count = 0
    instant, state = plan.next_open(since)
    while instant is not None and instant.time <= since + YEAR:
        count += 1
        if count == MAX_COUNTED:
            return round(count * (YEAR / (instant.time - since)))
        instant, state = plan.next_open(instant.time, state)
    return count
