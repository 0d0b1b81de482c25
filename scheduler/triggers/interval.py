"""Fixed intervals, counted in UTC from an anchor, so that clock changes do not matter."""

from datetime import datetime, timedelta
from typing import ClassVar

from ordinaut.limits import LAST_YEAR
from ordinaut.v1.error_pb2 import ErrorReason
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.trigger import Firing, TimeTrigger, stamp

_SECOND = timedelta(seconds=1)
MIN_INTERVAL = _SECOND
MAX_INTERVAL = timedelta(days=36_600)


class IntervalTrigger(TimeTrigger):
    """Fires at anchor, anchor + every, ….

    Args:
        every: whole seconds, from one second to a hundred years.
        anchor: aware, in UTC; a fraction of a second is rounded up.

    Raises:
        ScheduleError: INVALID_INTERVAL.
    """

    __slots__ = ("_anchor", "_every")
    kind: ClassVar[str] = "interval"

    def __init__(self, every: timedelta, anchor: datetime) -> None:
        check_interval(every)
        self._every = every
        self._anchor = whole_second(anchor)

    def after(self, instant: datetime) -> Firing | None:
        """The first firing strictly after the instant."""
        number = max(0, (instant - self._anchor) // self._every + 1)
        time = self._anchor + number * self._every
        return None if time.year > LAST_YEAR else Firing(time, adjusted=False, nominal=stamp(time))


def check_interval(every: timedelta) -> None:
    """Accepts whole seconds from one second to a hundred years.

    Raises:
        ScheduleError: INVALID_INTERVAL.
    """
    if not MIN_INTERVAL <= every <= MAX_INTERVAL or every % _SECOND:
        raise ScheduleError(
            ErrorReason.INVALID_INTERVAL,
            f"an interval must be a whole number of seconds from 1 to {MAX_INTERVAL // _SECOND} "
            f"(got {every.total_seconds():.9g})",
        )


def whole_second(time: datetime) -> datetime:
    """The time rounded up to a whole second."""
    floor = time.replace(microsecond=0)
    return floor if floor == time else floor + _SECOND
