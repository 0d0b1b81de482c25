"""Stretches of a schedule's past, in either order, a bounded number of instants at a time."""

from datetime import datetime, timedelta
from typing import NamedTuple

from ordinaut.clock import TICK
from scheduler.schedules.schedule import CompiledSchedule, Instant

_OVERFULL = 4  # so many times the limit may be looked at to find the newest ones


class Due(NamedTuple):
    """An instant that is not excluded, and the nominal time of the one after it."""

    instant: Instant
    following: datetime | None


class Stretch(NamedTuple):
    """Instants in the order that was asked for; `whole`: the range has no others."""

    due: list[Due]
    whole: bool


def oldest_first(schedule: CompiledSchedule, after: datetime, until: datetime, limit: int) -> Stretch:
    """The first instants in (after, until].

    Raises:
        ScheduleError: SCHEDULE_TOO_COSTLY.
    """
    due: list[Due] = []
    instant, state = schedule.next_open(after)
    while instant is not None and instant.time <= until:
        if len(due) >= limit:
            return Stretch(due, whole=False)
        following, state = schedule.next_open(instant.time, state)
        due.append(Due(instant, following.time if following else None))
        instant = following
    return Stretch(due, whole=True)


def newest_first(schedule: CompiledSchedule, after: datetime, until: datetime, limit: int, width: timedelta) -> Stretch:
    """The last instants in (after, until], the newest first.

    Triggers only look ahead, so windows are searched from the end backwards; the first one is `width` wide, which
    should be about as much as `limit` instants take.

    Raises:
        ScheduleError: SCHEDULE_TOO_COSTLY.
    """
    width = max(width, TICK)
    while True:
        begin = max(after, until - min(width, until - after))
        found = oldest_first(schedule, begin, until, limit * _OVERFULL)
        if not found.whole:
            width /= 2
        elif found.due or begin == after:
            newest = found.due[: -limit - 1 : -1]
            return Stretch(newest, whole=begin == after and len(newest) == len(found.due))
        else:
            until, width = begin, width * 2


def behind(instant: datetime, *, newest: bool) -> datetime:
    """The position that has everything up to `instant` dealt with: the bound of what is still to be looked at."""
    return instant - TICK if newest else instant
