"""The interface of every trigger that fires by time."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from apscheduler.triggers.base import BaseTrigger

from ordinaut.clock import EPOCH, TICK

BEGINNING = EPOCH - timedelta(seconds=1)
"""No schedule has an instant at or before this one."""


@dataclass(frozen=True, slots=True, order=True)
class Firing:
    """One instant of a trigger.

    `nominal` identifies it within the triggers of its kind and does not change with zone data: the local time of the
    rule, with `~2` on the second pass of a repeated hour, or a UTC time with a final `Z`.
    `adjusted`: a clock change moved it away from its nominal time.
    """

    time: datetime
    adjusted: bool
    nominal: str


class TimeTrigger(BaseTrigger, ABC):  # type: ignore[misc] # APScheduler ships no types
    """Yields instants; pure and immutable, so that every process computes the same ones."""

    __slots__ = ()

    kind: ClassVar[str]

    @abstractmethod
    def after(self, instant: datetime) -> Firing | None:
        """The first firing strictly after the instant (aware); None if the trigger does not fire again before 2201.

        Raises:
            ScheduleError: SCHEDULE_TOO_COSTLY, when it cannot be found within the step bound.
        """

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """APScheduler's method: the first time after the previous one, or from now on; aware, in UTC."""
        firing = self.after(previous_fire_time or now - TICK)
        return firing.time if firing else None


def stamp(time: datetime) -> str:
    """A time in the form of iCalendar: naive as local time, aware in UTC with a final `Z`.

    >>> stamp(datetime(2026, 10, 25, 3, 30))
    '20261025T033000'
    >>> stamp(datetime.fromisoformat("2026-10-25T03:30+03:00"))
    '20261025T003000Z'
    """
    if time.tzinfo is None:
        return _compact(time)
    return _compact(time.astimezone(UTC)) + "Z"


def _compact(time: datetime) -> str:
    """Formats in a third of the time that strftime takes."""
    return time.isoformat()[:19].replace("-", "").replace(":", "")
