"""Where a moment lies in a schedule: the instants around it."""

from datetime import datetime, timedelta

from ordinaut.clock import TICK
from scheduler.schedules.schedule import CompiledSchedule, Instant
from scheduler.triggers.trigger import BEGINNING

# How far back the instant before is looked for, step by step: what is dense is found near.
_LOOKS = (
    timedelta(minutes=2), timedelta(hours=2), timedelta(days=2), timedelta(days=40), timedelta(days=800),
    timedelta(days=20_000),
)  # fmt: skip
_MOST = 10_000


def at(plan: CompiledSchedule, moment: datetime) -> Instant | None:
    """The instant at the very moment, if there is one; it may be excluded.

    Raises:
        ScheduleError: SCHEDULE_TOO_COSTLY.
    """
    found, _ = plan.next(moment - TICK)
    return found if found is not None and found.time == moment else None


def before(plan: CompiledSchedule, moment: datetime) -> Instant | None:
    """The last instant before the moment; None also where instants are too dense and too far away.

    Raises:
        ScheduleError: SCHEDULE_TOO_COSTLY.
    """
    for look in _LOOKS:
        since = max(moment - look, BEGINNING)
        found, state = plan.next(since)
        last = None
        for _ in range(_MOST):
            if found is None or found.time >= moment:
                break
            last = found
            found, state = plan.next(found.time, state)
        if last is not None:
            return last
    return None


YEAR = timedelta(days=365)
MOST_COUNTED = 1_000


def runs_per_year(plan: CompiledSchedule, since: datetime) -> int:
    """The occurrences of the coming 365 days; of dense schedules an estimate from the first thousand.

    Raises:
        ScheduleError: SCHEDULE_TOO_COSTLY.
    """
    found = 0
    instant, state = plan.next_open(since)
    while instant is not None and instant.time <= since + YEAR:
        found += 1
        if found == MOST_COUNTED:
            return round(found * (YEAR / (instant.time - since)))
        instant, state = plan.next_open(instant.time, state)
    return found
