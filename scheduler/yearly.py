"""How often a schedule runs in a year."""

from datetime import datetime, timedelta

from scheduler.schedule import CompiledSchedule

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
