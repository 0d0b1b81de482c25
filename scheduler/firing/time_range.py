"""The instants of a schedule in a past time range, in either order, a limited number at a time."""

from datetime import datetime, timedelta
from typing import NamedTuple

from ordinaut.clock import TICK
from scheduler.schedules.schedule import CompiledSchedule, Instant

_MAX_OVERSHOOT = 4  # how many times the limit a window may contain when the newest instants are searched


class DueInstant(NamedTuple):
    """An instant that is not excluded, and the nominal time of the one after it."""

    instant: Instant
    following: datetime | None


class InstantPage(NamedTuple):
    """Instants of a range in the requested order; `complete`: the range has no others."""

    due: list[DueInstant]
    complete: bool


def oldest_first(schedule: CompiledSchedule, after: datetime, until: datetime, limit: int) -> InstantPage:
    """The first instants in (after, until].

    Raises:
        ScheduleError: SCHEDULE_TOO_COSTLY.
    """
    due: list[DueInstant] = []
    instant, state = schedule.next_open(after)
    while instant is not None and instant.time <= until:
        if len(due) >= limit:
            return InstantPage(due, complete=False)
        following, state = schedule.next_open(instant.time, state)
        due.append(DueInstant(instant, following.time if following else None))
        instant = following
    return InstantPage(due, complete=True)


def newest_first(
    schedule: CompiledSchedule, after: datetime, until: datetime, limit: int, width: timedelta
) -> InstantPage:
    """The last instants in (after, until], the newest first.

    Triggers only search forward, so windows are searched from the end backwards. The first window is `width` wide,
    which should be about the time that `limit` instants take; a window that is too full is halved, an empty one is
    doubled.

    Raises:
        ScheduleError: SCHEDULE_TOO_COSTLY.
    """
    width = max(width, TICK)
    while True:
        begin = max(after, until - min(width, until - after))
        window = oldest_first(schedule, begin, until, limit * _MAX_OVERSHOOT)
        if not window.complete:
            width /= 2
        elif window.due or begin == after:
            newest = window.due[: -limit - 1 : -1]
            return InstantPage(newest, complete=begin == after and len(newest) == len(window.due))
        else:
            until, width = begin, width * 2


def position_after(instant: datetime, *, newest_first: bool) -> datetime:
    """The position of a backfill which has dealt with `instant`: the exclusive or inclusive bound of the rest."""
    return instant - TICK if newest_first else instant
